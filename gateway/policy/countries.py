"""Countries as configuration names them: ISO 3166-1 alpha-2 codes, and the named sets of the contract.

A vendor's label is not a country set: its "EU" may hold Norway, Switzerland or London. So nothing
here guesses from a host or a region; an entry lists countries, or a set whose members stand below.
"""

from __future__ import annotations

from collections.abc import Iterable

ANYWHERE = "ZZ"
"""Stands for "any country": of the user-assigned codes, the one that CLDR reads as an unknown region."""

_CODES = (
    "AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BV BW BY "
    "BZ CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK "
    "FM FO FR GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR "
    "IS IT JE JM JO JP KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK "
    "ML MM MN MO MP MQ MR MS MT MU MV MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM "
    "PN PR PS PT PW PY QA RE RO RS RU RW SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF "
    "TG TH TJ TK TL TM TN TO TR TT TV TW TZ UA UG UM US UY UZ VA VC VE VG VI VN VU WF WS YE YT ZA ZM ZW"
)
ISO = frozenset(_CODES.split())
"""Every officially assigned alpha-2 code of ISO 3166-1."""

_EU = "AT BE BG CY CZ DE DK EE ES FI FR GR HR HU IE IT LT LU LV MT NL PL PT RO SE SI SK"
EU27 = frozenset(_EU.split())
EEA = EU27 | {"IS", "LI", "NO"}

NAMED: dict[str, frozenset[str]] = {
    "EU27": EU27,
    "EEA": EEA,
    "EEA_CH": EEA | {"CH"},
    "CA": frozenset({"CA"}),
    "WORLD": ISO | {ANYWHERE},
}
"""The named sets. `WORLD` means that no place is excluded: only a tenant that accepts it fits such an entry."""


def expand(names: Iterable[str]) -> frozenset[str]:
    """The countries that these codes and named sets stand for.

    Raises:
        KeyError: a name is neither; it holds the name.
    """
    countries: set[str] = set()
    for name in names:
        if name in NAMED:
            countries |= NAMED[name]
        elif name in ISO:
            countries.add(name)
        else:
            raise KeyError(name)
    return frozenset(countries)


def shown(countries: frozenset[str]) -> str:
    """A country set in few words: by the name of a named set where there is one."""
    for name, members in NAMED.items():
        if members == countries:
            return name
    return " ".join(sorted(countries)) or "none"
