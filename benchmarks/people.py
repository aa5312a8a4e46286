"""The contacts of the simulator: the same number gives the same contact."""

from __future__ import annotations

import json
import time

FIRST_NAMES = (
    "Adriana",
    "Luís",
    "Conceição",
    "Otávio",
    "Simone",
    "Íris",
    "Wagner",
    "Thaís",
    "Nélio",
    "Clara",
)
LAST_NAMES = ("Moraes", "Falcão", "Pacheco", "Simões", "Teixeira", "Guimarães", "Brandão")
CITIES = ("São Luís", "Florianópolis", "Natal", "Maceió", "Uberlândia")
NOTE = "Prefere ser chamado por telefone; conheceu a empresa na feira de março e pediu proposta/orçamento."
FIRST_STAMP = 1_740_000_000
SECONDS_APART = 11
DOMAINS = 89


def php(value: object) -> str:
    """Write JSON as PHP does: ASCII only, slashes escaped."""
    return json.dumps(value, separators=(",", ":")).replace("/", "\\/")


# Escaped once: a million contacts are rendered in seconds, and a page costs the simulator a join.
_FIRST = tuple(map(php, FIRST_NAMES))
_LAST = tuple(php(name)[1:-1] for name in LAST_NAMES)
_CITY = tuple(map(php, CITIES))
_NOTE = php(NOTE)


def moment(unix_seconds: int) -> str:
    """Write a moment as the API does."""
    return time.strftime("%Y-%m-%dT%H:%M:%S.000000Z", time.gmtime(unix_seconds))


def stamp_of(number: int) -> int:
    """Return when a contact was last changed, in unix seconds."""
    return FIRST_STAMP + SECONDS_APART * number


def email_of(number: int) -> str:
    """Return a contact's e-mail address."""
    return f"pessoa{number:07d}@empresa{number % DOMAINS}.com.br"


def associations_of(number: int) -> tuple[list[int], list[int]]:
    """Return the ids of a contact's companies and deals."""
    return [number % 4_000 + 1], [number % 7_000 + 1, number % 7_000 + 2]


def row_of(number: int) -> bytes:
    """Return a contact as a list shows it: without its companies and deals."""
    n = number
    return (
        f'{{"id":{n},"first_name":{_FIRST[n % 10]},"last_name":"{_LAST[n % 7]} {n}","email":"{email_of(n)}",'
        f'"phones":[{{"id":{2 * n},"number":"+55-85-9{n % 10_000:04d}-{n * 3 % 10_000:04d}","type":"mobile"}},'
        f'{{"id":{2 * n + 1},"number":"+55-85-3{n % 1_000:03d}-{n * 7 % 10_000:04d}","type":"work"}}],'
        f'"tags":["carteira-{n % 15}","boletim"],"user_id":{n % 19 + 1},"source_id":{n % 6 + 1},'
        f'"job_title":{"null" if n % 4 == 0 else chr(34) + "Compradora" + chr(34)},'
        f'"street":"Rua das Palmeiras, {n % 2_500} \\/ sala {n % 300}","city":{_CITY[n % 5]},"state":"CE",'
        f'"postal_code":"6{n % 10_000:04d}-{n % 1_000:03d}","country_id":76,'
        f'"cf_cnpj":"{n % 100:02d}.{n * 3 % 1_000:03d}.{n * 7 % 1_000:03d}\\/0001-{n % 97:02d}",'
        f'"cf_score":{n * 31 % 1_000 / 10},"cf_contract_end":"2027-0{n % 9 + 1}-{n % 28 + 1:02d}",'
        f'"cf_note":{_NOTE},"cf_newsletter":{"true" if n % 2 else "false"},'
        f'"created_at":"{moment(FIRST_STAMP - 86_400 * (n % 365))}","updated_at":"{moment(stamp_of(n))}"}}'
    ).encode()
