"""The crosswalk as people bring and take it: files of pairs, who waits for one, ids that are one person.

reading    a file as Excel and others write it: encoding, separator, headings, rows
lookup     a lookup table of CTP
headings   which column is which, by the headings of programs and people
spoiled    ids that a spreadsheet has changed
pairs      rows as pairs
writing    cells that no spreadsheet takes for a formula
doing      import, export, who waits, merge
"""

from node.crosswalk.doing import export_pairs, import_file, list_waiting, merge_ids, waiting_list
from node.crosswalk.writing import SEPARATORS

__all__ = ["SEPARATORS", "export_pairs", "import_file", "list_waiting", "merge_ids", "waiting_list"]
