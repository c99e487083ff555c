"""The words of the public page in English and French. What an operator wrote is never translated here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

Language = Literal["en", "fr"]
LANGUAGES: Final[tuple[Language, ...]] = ("en", "fr")

WORDS: Final[Mapping[str, tuple[str, str]]] = {
    "title": ("Sub-processors", "Sous-traitants ultérieurs"),
    "skip": ("Skip to the list", "Aller à la liste"),
    "dated": ("As of", "Situation au"),
    "intro": (
        "These companies process content for us through language models. Each works under an agreement by which it"
        " keeps nothing of it but what is listed below as kept, and trains no model with it. We announce a new one, a"
        " new country or a new purpose at least {days} days before it counts.",
        "Ces sociétés traitent du contenu pour nous au moyen de modèles de langage. Chacune est liée par un contrat"
        " selon lequel elle n'en conserve rien, hormis ce qui est indiqué ci-dessous, et n'entraîne aucun modèle avec"
        " lui. Nous annonçons une nouvelle société, un nouveau pays ou une nouvelle finalité au moins {days} jours"
        " avant la prise d'effet.",
    ),
    "none": ("No sub-processor is listed.", "Aucun sous-traitant ultérieur n'est inscrit."),
    "state": ("State", "État"),
    "entity": ("Legal entity", "Entité juridique"),
    "address": ("Address", "Adresse"),
    "contact": ("Contact", "Contact"),
    "service": ("What it does", "Prestation"),
    "data": ("Data", "Données"),
    "subjects": ("People concerned", "Personnes concernées"),
    "processing": ("Countries of processing", "Pays de traitement"),
    "storage": ("Countries of storage", "Pays de conservation"),
    "no_storage": ("none: nothing is stored", "aucun : rien n'est conservé"),
    "to_come": ("from {date} on also", "à partir du {date} également"),
    "models": ("Models", "Modèles"),
    "transfers": ("Basis of transfers", "Fondement des transferts"),
    "no_transfers": ("none needed or none in force", "aucun requis ou aucun en vigueur"),
    "agreement": ("Zero-retention agreement", "Contrat de non-conservation"),
    "in_force": ("in force until {date}", "en vigueur jusqu'au {date}"),
    "not_in_force": ("not in force: no data goes there", "pas en vigueur : aucune donnée n'y est envoyée"),
    "kept": ("Kept all the same", "Conservé malgré tout"),
    "announced": ("Announced", "Annoncé le"),
    "effective": ("In use from", "Utilisé à partir du"),
    "upstream": ("Its own sub-processors", "Ses propres sous-traitants"),
    "emergency": ("Emergency", "Urgence"),
    "emergencies": (
        "used before the end of the notice for one customer, on that customer's contract, from {start} to {end}: {why}",
        "utilisé avant la fin du préavis pour un client, sur la base de son contrat, du {start} au {end} : {why}",
    ),
    "purposes": ("Purposes", "Finalités"),
    "purpose": ("Purpose", "Finalité"),
    "policy": ("In the privacy policy", "Dans la politique de confidentialité"),
    "basis": ("Lawful basis", "Base légale"),
    "changes": ("Change log", "Journal des modifications"),
    "date": ("Date", "Date"),
    "change": ("Change", "Modification"),
    # states
    "state.draft": ("draft", "projet"),
    "state.announced": ("announced, not in use yet", "annoncé, pas encore utilisé"),
    "state.active": ("in use", "utilisé"),
    "state.suspended": ("suspended", "suspendu"),
    "state.expired": ("expired: not in use", "expiré : non utilisé"),
    "state.retired": ("no longer in use", "n'est plus utilisé"),
    # events
    "event.announced": ("{name} was announced", "{name} a été annoncé"),
    "event.effective": ("{name} may be used", "{name} peut être utilisé"),
    "event.countries_announced": (
        "{name}: new countries were announced, {countries}",
        "{name} : nouveaux pays annoncés, {countries}",
    ),
    "event.countries_effective": ("{name} works in {countries}, too", "{name} travaille également dans : {countries}"),
    "event.exemption": ("{name}: emergency use for one customer", "{name} : utilisation d'urgence pour un client"),
    "event.suspended": ("{name} was suspended", "{name} a été suspendu"),
    "event.retired": ("{name} is no longer used", "{name} n'est plus utilisé"),
    "event.purpose_announced": ("purpose {name} was announced", "la finalité {name} a été annoncée"),
    "event.purpose_effective": ("purpose {name} may be used", "la finalité {name} peut être utilisée"),
    # purposes of the privacy policy, lawful bases
    "running_the_service": ("running the service", "fonctionnement du service"),
    "security": ("security", "sécurité"),
    "improving_the_service": ("improving the service", "amélioration du service"),
    "communication": ("communication", "communication"),
    "marketing": ("marketing", "prospection"),
    "legal_obligations": ("legal obligations", "obligations légales"),
    "consent": ("consent", "consentement"),
    "contract": ("contract", "contrat"),
    "legal_obligation": ("legal obligation", "obligation légale"),
    "vital_interests": ("vital interests", "intérêts vitaux"),
    "public_task": ("public task", "mission d'intérêt public"),
    "legitimate_interests": ("legitimate interests", "intérêts légitimes"),
    # transfers
    "law.EEA": ("European Economic Area", "Espace économique européen"),
    "law.UK": ("United Kingdom", "Royaume-Uni"),
    "law.CH": ("Switzerland", "Suisse"),
    "law.QC": ("Québec", "Québec"),
    "adequacy": ("adequacy decision", "décision d'adéquation"),
    "scc": ("standard contractual clauses", "clauses contractuelles types"),
    "uk_addendum": ("UK addendum to the clauses", "addendum britannique aux clauses"),
    "uk_idta": ("UK international data transfer agreement", "accord britannique de transfert international"),
    "uk_bridge": ("UK-US data bridge", "passerelle de données Royaume-Uni - États-Unis"),
    "swiss_scc": ("clauses as the Swiss authority recognises them", "clauses reconnues par l'autorité suisse"),
    "swiss_framework": ("Swiss-US Data Privacy Framework", "Cadre de protection des données Suisse - États-Unis"),
    "assessment": (
        "privacy impact assessment (P-39.1, s. 17)",
        "évaluation des facteurs relatifs à la vie privée (P-39.1, art. 17)",
    ),
    # countries and the named sets
    "country.EU27": ("European Union", "Union européenne"),
    "country.EEA": ("European Economic Area", "Espace économique européen"),
    "country.EEA_CH": ("European Economic Area and Switzerland", "Espace économique européen et Suisse"),
    "country.WORLD": ("any country", "tout pays"),
    "country.AE": ("United Arab Emirates", "Émirats arabes unis"),
    "country.AT": ("Austria", "Autriche"),
    "country.AU": ("Australia", "Australie"),
    "country.BE": ("Belgium", "Belgique"),
    "country.BG": ("Bulgaria", "Bulgarie"),
    "country.BR": ("Brazil", "Brésil"),
    "country.CA": ("Canada", "Canada"),
    "country.CH": ("Switzerland", "Suisse"),
    "country.CY": ("Cyprus", "Chypre"),
    "country.CZ": ("Czechia", "Tchéquie"),
    "country.DE": ("Germany", "Allemagne"),
    "country.DK": ("Denmark", "Danemark"),
    "country.EE": ("Estonia", "Estonie"),
    "country.ES": ("Spain", "Espagne"),
    "country.FI": ("Finland", "Finlande"),
    "country.FR": ("France", "France"),
    "country.GB": ("United Kingdom", "Royaume-Uni"),
    "country.GR": ("Greece", "Grèce"),
    "country.HR": ("Croatia", "Croatie"),
    "country.HU": ("Hungary", "Hongrie"),
    "country.IE": ("Ireland", "Irlande"),
    "country.IL": ("Israel", "Israël"),
    "country.IN": ("India", "Inde"),
    "country.IS": ("Iceland", "Islande"),
    "country.IT": ("Italy", "Italie"),
    "country.JP": ("Japan", "Japon"),
    "country.KR": ("South Korea", "Corée du Sud"),
    "country.LI": ("Liechtenstein", "Liechtenstein"),
    "country.LT": ("Lithuania", "Lituanie"),
    "country.LU": ("Luxembourg", "Luxembourg"),
    "country.LV": ("Latvia", "Lettonie"),
    "country.MT": ("Malta", "Malte"),
    "country.NL": ("Netherlands", "Pays-Bas"),
    "country.NO": ("Norway", "Norvège"),
    "country.NZ": ("New Zealand", "Nouvelle-Zélande"),
    "country.PL": ("Poland", "Pologne"),
    "country.PT": ("Portugal", "Portugal"),
    "country.RO": ("Romania", "Roumanie"),
    "country.SE": ("Sweden", "Suède"),
    "country.SG": ("Singapore", "Singapour"),
    "country.SI": ("Slovenia", "Slovénie"),
    "country.SK": ("Slovakia", "Slovaquie"),
    "country.US": ("United States", "États-Unis"),
}  # fmt: skip


def word(key: str, language: Language, **values: object) -> str:
    """A word or sentence of the page.

    Raises:
        KeyError: there is none of this key.
    """
    return WORDS[key][LANGUAGES.index(language)].format(**values)


def country(code: str, language: Language) -> str:
    """A country or named set for people; a code that is not in the table stands for itself."""
    key = f"country.{code}"
    return word(key, language) if key in WORDS else code
