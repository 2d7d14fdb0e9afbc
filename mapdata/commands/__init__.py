"""Sub-commands: one module each (or each family), with a function `register(app)`.

`mapdata.cli` imports every module here to answer `--help`, so a module imports at its top only what is quick to import;
heavy libraries are imported inside the command functions.
"""
