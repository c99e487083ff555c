"""Words that every conversation is full of: poor signs that a rule could apply, so better ones are looked for first.

Only speed depends on them, never what is found.
"""

from __future__ import annotations

_CONSTANT = frozenset(
    """
    a about after all also am an and any are as at back be because been before being but by can could d did didn do does
    doing don down even for from get getting go goes going gonna good got guys had has have having he hello her here him his how i
    if in into is isn it its just know last let like little ll look lot m make maybe me mean more much my need new next no not
    now of off oh ok okay on one only or other our out over people please really re right s said say see she should so some something
    sort still such t take talk than thank thanks that the their them then there these they thing things think this those
    through time to today too two uh um until up us ve very want was way we well were what when where which while who why will
    with would yeah year years yes you your
    ai ans as au aussi aux avec avez bien bon ca ce ces cette comme dans de des deux donc du elle en est et etait etes euh fait
    il ils j je l la le les leur lui ma mais me mes moi mon n ne non nos notre nous on ont ou oui par pas peu plus pour quand que
    qui sa se ses si son sont suis sur ta te tes toi ton tout tres tu un une va vers vos votre vous y
    """.split()
)
_COMMON = frozenset(
    """
    able across actually again against ago already always another around ask asked away bad best better between big bit both bring
    business call called came change check come comes coming company customer customers day days deal each end enough ever every
    everything far feel few find fine first five forward four full give gives given gone great group half happen hard help high
    hour hours house idea interesting job keep kind large later least left less life list long longer lots made making man many
    market may meeting might minute minutes month months morning most move moving must never night nine nothing number office old
    once open part pay percent person place plan point price product put quarter question quite rate real reason rest room run
    running same sales second seems send sense set seven show side since single site six small soon start started sure system
    taking talking team tell ten terms test three times together took top trying under use used using usually week weeks went
    whole without woman work working works world worth write wrong
    alors annee annees apres autre autres avant beaucoup chaque chez client cela depuis demain encore entre equipe etre faire faut
    fois grand hier ici jour jours jusqu mieux mois moins monde parce petit peut personne premier prix quatre quelque rien sans
    semaine sera sous suite tous toujours toute toutes trois trop venir voir vraiment
    fun ran line red blue green black white white small light open
    """.split()
)


def weight(literal: str) -> float:
    """How often a literal of the plain text is met with, as a relative number; a part of a word more often than a word."""
    word = literal.strip()
    found = 200.0 if word in _CONSTANT else 30.0 if word in _COMMON or word.isdigit() else 8.0 if len(word) < 3 else 1.0
    return found if literal[0] == literal[-1] == " " else 25.0 * found
