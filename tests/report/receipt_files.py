"""Files of receipts as target-appcrm writes them, small and large."""

import dataclasses
import random

from appcrm.receipts import Receipt, ReceiptWriter, Run, no_counts

AT = "2026-06-01T08:00:00.000000Z"
ACCOUNT = "https://acme.example/api"


def write_runs(path, *runs):
    """Append runs, each ``(run, receipts)`` or ``(run, receipts, False)`` for one that never ended."""
    with path.open("ab") as file:
        for run, receipts, *ended in runs:
            writer = ReceiptWriter(file.write, run)
            counts = no_counts()
            for receipt in receipts:
                writer.write(receipt)
                counts[receipt.operation] += 1
            if ended != [False]:
                writer.end(
                    dataclasses.replace(
                        run, ended_at=run.ended_at or AT, counts=counts, exit_code=run.exit_code or 0
                    )
                )
    return path


def a_run(run_id="run-1", **facts):
    return Run(run_id, facts.pop("started_at", AT), ACCOUNT, **facts)


def receipt(operation, contact_id=None, *, stream="contacts", **facts):
    return Receipt(stream, operation, AT, contact_id=contact_id, **facts)


def many(count, seed=1):
    """Receipts as a night brings them, of people who do not exist."""
    draw = random.Random(seed)  # noqa: S311  the same people each time
    first = [
        "Ana",
        "Beatriz",
        "Caio",
        "Davi",
        "Elisa",
        "Fábio",
        "Gabriela",
        "Heitor",
        "Iara",
        "João",
        "Lívia",
        "Ünal",
    ]
    last = [
        "Souza",
        "da Silva",
        "Carvalho",
        "Oliveira",
        "Nascimento",
        "Conceição",
        "O'Neill",
        "Müller-Lüdenscheidt",
    ]
    cities = ["Recife", "São Paulo", "Belo Horizonte", "Porto Alegre", "Lisboa", "München", "Mountain View"]
    jobs = [
        "Sales manager",
        "Procurement",
        "CTO",
        "Head of Human Resources and Organisational Development",
        None,
    ]
    for number in range(1, count + 1):
        name, family = draw.choice(first), draw.choice(last)
        address = f"{name}.{family}{number}@example.com".lower().replace(" ", "").replace("'", "")
        key, kind = {"email": address}, draw.random()
        facts = {"key": key, "record_number": number, "requests": 1}
        if kind < 0.01:
            held = {"first_name": name, "last_name": family, "email": address, "city": draw.choice(cities)}
            held |= {
                "phones": [{"number": "+55 81 9 9999", "type": "mobile"}],
                "companies": [draw.randint(1, 9)],
            }
            yield receipt("delete", number, changes={k: [v, None] for k, v in held.items()}, **facts)
        elif kind < 0.12:
            wanted = {"first_name": name, "last_name": family, "email": address, "city": draw.choice(cities)}
            wanted |= {"tags": ["newsletter", "2026"], "companies": [3, 4], "cf_score": draw.randint(0, 100)}
            yield receipt(
                "create", number, changes={k: [None, v] for k, v in wanted.items()},
                names={"companies": {"3": "Grupo Andrade & Filhos", "4": "Nordeste Têxtil S.A."}}, **facts,
            )  # fmt: skip
        elif kind < 0.5:
            changes = {"city": draw.sample(cities, 2), "job_title": draw.sample(jobs, 2)}
            if number % 3 == 0:
                changes["phones"] = [
                    [{"number": "+55 81 3333-1111", "type": "work"}],
                    [
                        {"number": "+55 81 3333-1111", "type": "work"},
                        {"number": "+55 81 98888-7777", "type": "mobile"},
                    ],
                ]
            if number % 5 == 0:
                changes["tags"] = [["newsletter", "old"], ["newsletter", "2026"]]
            left = {"last_name": "if_empty"} if number % 7 == 0 else None
            yield receipt("update", number, changes=changes, left_alone=left, **facts)
        elif kind < 0.55:
            yield receipt(
                draw.choice(["sync", "attach"]), number, changes={"companies": [[1, 2], [2, 3]]},
                names={"companies": {"1": "Acme", "2": "Banco do Brejo", "3": "Grupo Andrade & Filhos"}}, **facts,
            )  # fmt: skip
        elif kind < 0.58:
            cause, reason, status = draw.choice(
                [
                    ("status 422 on email", f"status 422: email: {address} has already been taken", 422),
                    (
                        "more than one contact matches phones.number",
                        "contacts 12, 99 both hold +55 81 3333-1111",
                        None,
                    ),
                    ("no e-mail address", f"email is no address: {address}; b@x.example", None),
                    ("changed since the plan", "city was Recife in the plan and is Olinda now", None),
                ]
            )
            yield receipt("reject", number, cause=cause, reason=reason, status=status, **facts)
        elif kind < 0.6:
            yield receipt("skipped", number, reason="contact is gone", cause="contact is gone", **facts)
        else:
            yield receipt("unchanged", number, **facts)
