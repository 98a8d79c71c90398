"""What the user sees of installing packages: the banner, the dialog, the row in the settings.

Others use of it:

- ``banner``: InstallationBanner, InstallationRow
"""
