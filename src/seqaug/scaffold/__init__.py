"""Writes the package of a new plugin: complete, working and tested before its author has changed a line.

`names` says what everything in it is called, `package` fills in the templates and puts the folder in its place. The templates
are the text files in templates/: those of package/ are the same for every kind; those in a folder that is named after a kind
are the plugin, its test, and the facts that its README tells.
"""
