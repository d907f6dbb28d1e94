"""The recipe language: parse → compile → apply to encoded bytes.

Guarantees that a recipe either loads as a whole or not at all, that what it does to an instance depends only on its
text, the instance, the identities and the variables, and that what it does not touch stays byte for byte. Refuses at
load (RecipeError, all faults at once) what can be known from the text; refuses at run time (HoldInstance) what an
instance does not allow.
"""

from node.recipe.conditions import Conditions, compile_conditions
from node.recipe.encoded import EncodedDataset
from node.recipe.filters import Detection, Finding, Judgement, Region
from node.recipe.functions import BUILT_IN, Identities
from node.recipe.known.decided import Decided, decided_of
from node.recipe.language import RecipeText
from node.recipe.learnt import Memory
from node.recipe.load import Recipe, load_recipe, read_recipe, shipped_names, shipped_recipe
from node.recipe.output import Cleaned, Segment
from node.recipe.site_functions import Functions, load_functions

__all__ = [
    "BUILT_IN",
    "Cleaned",
    "Conditions",
    "Decided",
    "Detection",
    "EncodedDataset",
    "Finding",
    "Functions",
    "Identities",
    "Judgement",
    "Memory",
    "Recipe",
    "RecipeText",
    "Region",
    "Segment",
    "compile_conditions",
    "decided_of",
    "load_functions",
    "load_recipe",
    "read_recipe",
    "shipped_names",
    "shipped_recipe",
]
