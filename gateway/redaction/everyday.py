"""Words that every conversation is full of: poor signs that a rule could apply, so better ones are looked for first.

Only speed depends on them, never what is found.
"""

from __future__ import annotations

import re

_CONSTANT = """
    a about after ai all also am an and ans any are as at au aussi aux avec avez back be because been before
    being bien bon but by ca can ce ces cette comme could d dans de des deux did didn do does doing don donc
    down du elle en est et etait etes euh even fait for from get getting go goes going gonna good got guys had
    has have having he hello her here him his how i if il ils in into is isn it its j je just know l la last le
    les let leur like little ll look lot lui m ma mais make maybe me mean mes moi mon more much my n ne need new
    next no non nos not notre nous now of off oh ok okay on one only ont or other ou oui our out over par pas
    people peu please plus pour quand que qui re really right s sa said say se see ses she should si so some
    something son sont sort still such suis sur t ta take talk te tes than thank thanks that the their them then
    there these they thing things think this those through time to today toi ton too tout tres tu two uh um un
    une until up us va ve vers very vos votre vous want was way we well were what when where which while who why
    will with would y yeah year years yes you your
"""
_COMMON = """
    able across actually again against ago alors already always annee annees another apres around ask asked
    autre autres avant away bad beaucoup best better between big bit black blue both bring business call called
    came cela change chaque check chez client come comes coming company customer customers day days deal demain
    depuis each encore end enough entre equipe etre ever every everything faire far faut feel few find fine
    first five fois forward four full fun give given gives gone grand great green group half happen hard help
    hier high hour hours house ici idea interesting job jour jours jusqu keep kind large later least left less
    life light line list long longer lots made making man many market may meeting mieux might minute minutes
    moins mois monde month months morning most move moving must never night nine nothing number office old once
    open parce part pay percent person personne petit peut place plan point premier price prix product put
    quarter quatre quelque question quite ran rate real reason red rest rien room run running sales same sans
    second seems semaine send sense sera set seven show side since single site six small soon sous start started
    suite sure system taking talking team tell ten terms test three times together took top toujours tous toute
    toutes trois trop trying under use used using usually venir voir vraiment week weeks went white whole
    without woman work working works world worth write wrong
"""
_WEIGHTS = {
    **dict.fromkeys(re.findall(r"\w+", _COMMON), 30.0),
    **dict.fromkeys(re.findall(r"\w+", _CONSTANT), 200.0),
}


def weight(literal: str) -> float:
    """How often a literal of the plain text is met with, as a relative number; a part of a word more than a word."""
    word = literal.strip()
    found = _WEIGHTS.get(word) or (30.0 if word.isdigit() else 8.0 if len(word) < 3 else 1.0)
    return found if literal[0] == literal[-1] == " " else 25.0 * found
