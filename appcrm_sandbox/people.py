"""Believable names and places, drawn once from Faker: a person is a combination, so many are cheap."""

from __future__ import annotations

import dataclasses
import functools
import unicodedata

# Locale, how often it occurs, and the country that its people live in.
LOCALES = (
    ("pt_BR", 60, "BR"),
    ("pt_PT", 8, "PT"),
    ("en_US", 12, "US"),
    ("es_AR", 10, "AR"),
    ("de_DE", 6, "DE"),
    ("fr_FR", 4, "FR"),
)
# Name, ISO code, calling code.
COUNTRIES = (
    ("Brasil", "BR", "+55"), ("Portugal", "PT", "+351"), ("Estados Unidos", "US", "+1"),
    ("Argentina", "AR", "+54"), ("Alemanha", "DE", "+49"), ("França", "FR", "+33"),
    ("Austrália", "AU", "+61"), ("Áustria", "AT", "+43"), ("Bélgica", "BE", "+32"),
    ("Canadá", "CA", "+1"), ("Chile", "CL", "+56"), ("Colômbia", "CO", "+57"),
    ("Tchéquia", "CZ", "+420"), ("Dinamarca", "DK", "+45"), ("Espanha", "ES", "+34"),
    ("Finlândia", "FI", "+358"), ("Hungria", "HU", "+36"), ("Índia", "IN", "+91"),
    ("Irlanda", "IE", "+353"), ("Itália", "IT", "+39"), ("Japão", "JP", "+81"), ("México", "MX", "+52"),
    ("Países Baixos", "NL", "+31"), ("Noruega", "NO", "+47"), ("Paraguai", "PY", "+595"),
    ("Peru", "PE", "+51"), ("Polônia", "PL", "+48"), ("Reino Unido", "GB", "+44"),
    ("Suécia", "SE", "+46"), ("Suíça", "CH", "+41"), ("Uruguai", "UY", "+598"),
    ("África do Sul", "ZA", "+27"),
)  # fmt: skip
SOURCES = ("Site", "Indicação", "Feira", "Anúncio", "Telefone", "Importação")
# Where the users sit: a moment that names no zone is meant there.
ZONE = "America/Sao_Paulo"
PIPELINES = ("Vendas", "Pós-venda")
STAGES = ("Qualificação", "Contato feito", "Demonstração", "Proposta", "Negociação")
TAGS = ("vip", "newsletter", "lead-quente", "inativo", "parceiro", "Imprensa", "São Paulo", "B2B")
DEAL_NAMES = ("Renovação anual", "Projeto piloto", "Licenças", "Consultoria", "Expansão", "Migração")
ACTIVITY_TITLES = ("Ligar de volta", "Enviar proposta", "Almoço", "Demonstração online", "Revisar contrato")

_NAMES = 240
_PLACES = 90
_POOL_SEED = 20250101


@dataclasses.dataclass(frozen=True, slots=True)
class Pool:
    """What people of one locale are made of."""

    country: str
    first_names: tuple[str, ...]
    last_names: tuple[str, ...]
    streets: tuple[str, ...]
    places: tuple[tuple[str, str, str], ...]
    jobs: tuple[str, ...]
    companies: tuple[str, ...]
    phone: str


_PHONES = {
    "BR": "+55 11 9{:04d}-{:04d}",
    "PT": "+351 9{:04d}{:04d}",
    "US": "+1 555 {:04d}-{:04d}",
    "AR": "+54 11 {:04d}-{:04d}",
    "DE": "+49 30 {:04d}{:04d}",
    "FR": "+33 1{:04d}{:04d}",
}


def ascii_of(text: str) -> str:
    """A text without accents, spaces and signs, in small letters: the part of an e-mail address."""
    plain = unicodedata.normalize("NFKD", text.replace("ß", "ss")).encode("ascii", "ignore").decode()
    return "".join(sign for sign in plain.lower() if sign.isalnum())


@functools.cache
def pools() -> tuple[Pool, ...]:
    """One pool for each locale, the same in every process."""
    import faker  # noqa: PLC0415  part of the extra, and slow to import: only seeding needs it

    found = []
    for locale, _weight, country in LOCALES:
        fake = faker.Faker(locale, use_weighting=False)
        fake.seed_instance(_POOL_SEED)
        states = [
            str(fake.administrative_unit() if country != "FR" else fake.region()) for _ in range(_PLACES)
        ]
        found.append(
            Pool(
                country=country,
                first_names=tuple(str(fake.first_name()) for _ in range(_NAMES)),
                last_names=tuple(str(fake.last_name()) for _ in range(_NAMES)),
                streets=tuple(str(fake.street_name()) for _ in range(_PLACES)),
                places=tuple((str(fake.city()), state, str(fake.postcode())) for state in states),
                jobs=tuple(str(fake.job())[:120] for _ in range(60)),
                companies=tuple(str(fake.company()) for _ in range(_NAMES)),
                phone=_PHONES[country],
            ),
        )
    return tuple(found)
