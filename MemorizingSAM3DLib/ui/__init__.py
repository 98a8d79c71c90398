"""The panel, windows and settings: Qt on one side, the click controller on the other. Loads no torch.

Others use of it:

- ``sample_data``: registerSampleData
- ``settings``: chosenModel
- ``settings_page``: registerSettingsPage
"""
