"""What turns the sources of the chapters into notebooks and runs them: the commands' workings.

The chapters import nothing from here.
"""
