"""What a recipe does, told to people who decide whether data may leave: an ethics board, a data protection officer.

doings    what becomes of one attribute, as the compiled recipe decides it
objects   what becomes of pixels, reports, documents
facts     all that is told, as data
markdown  the facts as a page

Guarantees that nothing is told that does not follow from the recipe as the engine understood it: no text here knows
what a shipped recipe is meant to do. Refuses nothing.
"""

from node.statement.doings import Doing, Doings
from node.statement.facts import ProjectSettings, facts
from node.statement.markdown import page
from node.statement.objects import Handling

__all__ = ["Doing", "Doings", "Handling", "ProjectSettings", "facts", "page"]
