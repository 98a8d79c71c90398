"""The panel: Qt widgets on one side, the scene's click controller on the other. Loads no torch, nothing third-party."""
