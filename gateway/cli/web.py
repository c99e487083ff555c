"""`web`: the auditor's pages, and one-time links into them."""

from __future__ import annotations

import argparse
import time

from gateway.audit.words import Role
from gateway.cli.verb import OK, Unusable, Verb, bundle_of, complain, say
from gateway.config import environment


def _arguments(made: argparse.ArgumentParser) -> None:
    made.add_argument("--link", metavar="ROLE", choices=[role.value for role in Role], help="print a one-time link")
    made.add_argument(
        "--tenant", action="append", default=[], metavar="ID", help="of a link: only this tenant's records"
    )


def _web(options: argparse.Namespace) -> int:
    return _serve(options) if options.link is None else _link(options)


def _serve(options: argparse.Namespace) -> int:
    from gateway.audit.store import StoreFault  # noqa: PLC0415  # it loads the whole site
    from gateway.listener import ListenerError  # noqa: PLC0415
    from gateway.web.house import NotYet  # noqa: PLC0415
    from gateway.web.serving import serve  # noqa: PLC0415

    try:
        return serve(options.config, environment())
    except (NotYet, StoreFault, ListenerError) as fault:
        raise Unusable(str(fault)) from None
    except OSError as fault:
        raise Unusable(f"the port cannot be used: errno {fault.errno}") from None


def _link(options: argparse.Namespace) -> int:
    from gateway.web.links import make  # noqa: PLC0415

    bundle = bundle_of(options)
    settings = bundle.settings.web
    unknown = [tenant for tenant in options.tenant if tenant not in bundle.tenants]
    if unknown:
        raise Unusable("--tenant is no tenant of tenants.yaml")
    if not settings.links:
        raise Unusable("one-time links are switched off: `links: false` under `web:` of gateway.yaml")
    try:
        token = make(bundle.state, Role(options.link), tuple(options.tenant), time.time())
    except ValueError as fault:
        raise Unusable(str(fault)) from None
    except OSError as fault:
        raise Unusable(f"{bundle.state}: errno {fault.errno}") from None
    scheme = "http" if settings.tls is None else "https"
    name = settings.names[0] if settings.names else settings.host
    say([f"{settings.address or f'{scheme}://{name}:{settings.port}'}/enter/{token}"])
    complain("It works once, within ten minutes.")
    return OK


VERBS = (
    Verb(
        ("web",),
        "the auditor's pages, read-only, in a process of their own; --link prints a one-time link into them",
        "gateway web --link tenant_auditor --tenant t-4f1c",
        _web,
        _arguments,
    ),
)
