"""The scene: MRML nodes on one side, the engine on the other. Knows no Qt; slicer and vtk inside functions.

Others use of it:

- ``click_controller``: ClickController
- ``scan``: volumeFromNode
- ``self_test``: runScenarios
- ``signals``: Signal
"""
