"""What became of instances, told and repeated: for the command line and the web page alike.

views       what a recipe makes of one file
past        routes and recipes as they were, and where an instance's original is
changes     what changed in an instance, by which line
explain     the whole story of one instance
recleaning  a held instance under another recipe: looked at, and cleaned again
replaying   a study sent once more, with the same bytes

Nothing here prints. What is shown names nobody unless it is asked for; whoever asks writes that down.
"""
