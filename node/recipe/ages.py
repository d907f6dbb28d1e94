"""Ages of PS3.5 AS: made of two dates, and never above 89 years.

Guarantees that an age counts what is completed, in the unit that tells most in three digits: days under 4 weeks, weeks
under 3 months, months under 2 years, years from then on. Who is over 89 is one of a group, `090Y` (45 CFR
164.514(b)(2)(i)(C)). Never refuses: an age before birth is empty.
"""

from __future__ import annotations

from datetime import date

MAX_AGE = 89  # years
_DAYS, _WEEKS, _MONTHS = 28, 3, 24  # days that are told as days; months that are told as weeks, and as months


def capped(age: str) -> str:
    """Return an AS value, those over 89 years as 090Y. 999 months are 83 years: no other unit comes as far."""
    return f"{MAX_AGE + 1:03d}Y" if age[3] == "Y" and int(age[:3]) > MAX_AGE else age


def age_on(day: date, born: date) -> str:
    """Return the age on a day as AS; empty for a day before birth. Who is born on 29 February is older on 1 March."""
    days = (day - born).days
    if days < 0:
        return ""
    months = (day.year - born.year) * 12 + day.month - born.month - (day.day < born.day)
    if days < _DAYS:
        return f"{days:03d}D"
    if months < _WEEKS:
        return f"{days // 7:03d}W"
    if months < _MONTHS:
        return f"{months:03d}M"
    return f"{min(months // 12, MAX_AGE + 1):03d}Y"
