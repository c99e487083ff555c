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
_USUAL = """
    account additional address administration affaires agree ainsi ajoute amount answer appel april area argent
    assez aucun august avais avait average avril balance bas base basis believe benefit billion board bonne book
    bought break budget build building bureau buy capital care carry cas cash cause celle celui center central
    certain certainly cher chose choses clear clearly close cold color comment common complete compte computer
    consider consumer contact content contract contrat control core cost costs cote country couple cours course
    cout cover current currently cut data date deals december decided decision dehors deliver demand depart
    dernier derniere design detail development devis difference different difficult digital dire direction
    discuss dit doit donne door drive driven droit due during early easy economic effect effort eight either
    energy especially eux example excited existing expect expected experience extra face fact factor fais family
    fast february fin final finally financial focus focused follow following fonction food force forecast fourth
    free friend front fund further future game gap general generation gens global goal gold grande ground
    growing growth guess guidance hand happened happy haut head health hear heard heart heavy held heure heures
    hold home homme hope hot huge human idee image impact important importe impressive improve improvement
    include including income increase increased industry information inside instead interest internal investment
    issue issues item itself jamais january janvier juillet juin july june juste key kids king knew laisse land
    largest lead leading learn leave legal lend level levels ligne likely listen livre local location loin
    looking lose lost low lower lundi madame main major manage management march marche mardi margin margins mark
    mass material matin matter meme mention merci message mettre mid middle midi million mind mise model moment
    monday money monsieur mort mother mouth multiple name national natural nature near necessary net nice niveau
    nom nombre north notes nouveau nouvelle november obviously october octobre offer offre online operating
    operation operations opportunity option order ordre original outside ouvert overall own page paper parle
    particular partner party passe passed path pays peine pendant pense perfect performance perhaps period phase
    phone physical picture piece planning platform plein plutot policy political portfolio pose position
    positive possible potential pourquoi power premiere present president presque press pret pretty previous
    pris private probably problem probleme process products produit program progress project projet propre
    public pull purchase push quality quick quickly quote raise raison range rates reach read ready recent
    recently record reduce reduction region regular related relationship release remain remember remote report
    required research response reste result results retard retour reunion revenue risk road role safe sait
    samedi saturday save saw school screen search seat section sector security seeing seen segment self sell
    senior sens separate september serious service services setting seul seulement share short shot sign
    significant similar simple simply sit situation size slide slightly slow social software soir sold someone
    sometimes somewhat sorte sound source south space speak special specific spend spot spring stage stand
    standard state states stay step stock stop store story strategy street strong structure study stuff style
    subject success sujet summer sunday supply support switch table target tax technology temps term testing
    tete themselves third though thought thousand thursday title topic total touch track trade train training
    transaction travail travaille treat trend trip true try tuesday turn type types unit united update upon user
    usine value various vendredi vente verre version via video vie vient view ville visit volume vrai vraie vue
    wait walk wall war warm wash watch water weather wednesday weekend weight west wide window winter wish women
    wonder wondering words worse worst yesterday yet young
"""
_WEIGHTS = {
    **dict.fromkeys(re.findall(r"\w+", _USUAL), 2.0),
    **dict.fromkeys(re.findall(r"\w+", _COMMON), 10.0),
    **dict.fromkeys(re.findall(r"\w+", _CONSTANT), 200.0),
}


def weight(literal: str) -> float:
    """How often a literal of the plain text is met with, as a relative number; a part of a word more than a word."""
    word = literal.strip()
    found = _WEIGHTS.get(word) or (10.0 if word.isdigit() else 2.0 if len(word) < 3 else 0.05)
    return found if literal[0] == literal[-1] == " " else 25.0 * found
