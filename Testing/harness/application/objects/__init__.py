"""The QObjects of the Slicer application, one idea a module. They stand behind `slicer.app` and what it returns.

`Testing.harness.pythonqt` puts its strict proxies before them: a name that Slicer does not have raises AttributeError,
and one that Slicer has but these classes do not raises NotImplementedError.
"""
