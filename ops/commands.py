"""What the Makefile's commands do, in the virtual environment.

What one command alone needs, the settings above all, it imports itself.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from datetime import datetime, timezone

from ops.bootstrap import state
from ops.bootstrap.console import UserError
from ops.bootstrap.environment import LOCAL, process_env
from ops.stack import Stack

Action = Callable[[argparse.Namespace], None]


def _with_pulumi(act: Action) -> Action:
    def run(args: argparse.Namespace) -> None:
        process_env()
        act(args)

    return run


def _on_stack(act: Callable[[Stack, argparse.Namespace], None]) -> Action:
    return _with_pulumi(lambda args: act(Stack(args.stack), args))


def _drift(stack: Stack, _: argparse.Namespace) -> None:
    from ops.review.report import drift_report

    drift_report(stack.name).publish()


def _deployed(stack: Stack, _: argparse.Namespace) -> None:
    from ops import history

    print(history.deployed_commit(stack.name))


def _recover(args: argparse.Namespace) -> None:
    from ops import recover

    state.set_aside_without_passphrase()
    process_env()
    recover.recover(Stack(args.stack))


def _adopt(args: argparse.Namespace) -> None:
    if not args.source:
        raise UserError("FROM=… missing: the swarm stack or compose project that runs the registry")
    from ops.adopt.takeover import adopt

    adopt(args.stack, args.source, args.logins)


def _env(args: argparse.Namespace) -> None:
    given = {"NAME": args.name, "FROM": args.source, "DOMAIN": args.domain}
    if missing := [f"{key}=…" for key, value in given.items() if not value]:
        example = "make env NAME=preprod FROM=stag DOMAIN=preprod.registry.example.com"
        raise UserError(f"{' and '.join(missing)} missing; such as: {example}")
    from ops import new_stack

    new_stack.make(args.name, args.source, args.domain)


def _rotate(stack: Stack, args: argparse.Namespace) -> None:
    if bool(args.user) == bool(args.key):
        raise UserError(
            "what shall be rotated? USER=ci, that user's password, or KEY=1, the key of tokens"
        )
    stack.ensure()
    from ops import rotate

    if args.key:
        rotate.rotate_key(stack)
    else:
        overlap = rotate.overlap_seconds(args.overlap)
        rotate.rotate_password(stack, args.user, overlap, datetime.now(timezone.utc))


def _users(stack: Stack, _: argparse.Namespace) -> None:
    from ops import users

    users.show(stack)


def _login(stack: Stack, args: argparse.Namespace) -> None:
    from ops.login import login

    login(stack, args.user, prints=args.print == "1")


def _mirrors(stack: Stack, _: argparse.Namespace) -> None:
    from ops import nodes

    nodes.show(stack)


def _logs(stack: Stack, args: argparse.Namespace) -> None:
    from ops import logs

    logs.show(stack, follow=bool(args.follow))


def _gc(stack: Stack, args: argparse.Namespace) -> None:
    if sum(map(bool, (args.dry, args.undo, args.list))) > 1:
        raise UserError("DRY, UNDO and LIST are three things: one at a time")
    stack.ensure()
    from ops import collection

    if args.undo:
        collection.undo(stack, "last" if args.undo == "1" else args.undo)
    elif args.list:
        collection.show_trash(stack)
    else:
        collection.collect(stack, dry_run=args.dry == "1")


def _status(stack: Stack, args: argparse.Namespace) -> None:
    from ops.status import screen

    screen.show(stack, args.format)


def _outdated(stack: Stack, _: argparse.Namespace) -> None:
    from ops.outdated import report

    report.show(stack)


def _retention(stack: Stack, args: argparse.Namespace) -> None:
    stack.ensure()
    from ops import retention

    retention.retain(stack, dry_run=args.dry == "1")


def _backup(stack: Stack, args: argparse.Namespace) -> None:
    if sum(map(bool, (args.verify, args.list, args.secrets))) > 1:
        raise UserError("VERIFY, LIST and SECRETS are three things: one at a time")
    stack.ensure()
    from ops import backup_settings, backups

    if args.verify:
        backups.verify(stack, args.to)
    elif args.list:
        backups.show(stack, args.to)
    else:
        file, secrets = args.passphrase_file, None
        if args.secrets:
            secrets = backup_settings.encrypted_secrets(stack, file)
        backups.back_up(stack, args.to, secrets)


def _restore(stack: Stack, args: argparse.Namespace) -> None:
    if args.secrets:
        if args.source or args.generation or args.overwrite:
            raise UserError("with SECRETS no images come back: FROM is for these, afterwards")
        from ops import backup_settings

        backup_settings.restore_secrets(stack, args.secrets, args.passphrase_file)
        return
    stack.ensure()
    from ops import backups

    overwrites = args.overwrite == "1"
    backups.restore(stack, args.source, args.generation, overwrites=overwrites)


def _clone(args: argparse.Namespace) -> None:
    if not (args.source and args.to) or args.source == args.to:
        raise UserError("which stacks? make clone FROM=prod TO=stag")
    source, target = Stack(args.source), Stack(args.to)
    source.ensure()
    target.ensure()
    from ops import backups

    backups.clone(source, target)


def _move(stack: Stack, args: argparse.Namespace) -> None:
    stack.ensure()
    from ops.move import nodes, storages

    if args.node:
        nodes.move(stack, args.node)
    else:
        storages.move(stack)


def _docs(_: argparse.Namespace) -> None:
    from ops import documentation

    documentation.write()


ACTIONS: Mapping[str, Action] = {
    "up": _with_pulumi(lambda _: Stack(LOCAL).up()),
    "deploy": _on_stack(lambda stack, _: stack.deploy()),
    "preview": _on_stack(lambda stack, args: stack.preview(args.format)),
    "drift": _on_stack(_drift),
    "deployed": _on_stack(_deployed),
    "down": _on_stack(lambda stack, _: stack.down()),
    "recover": _recover,
    "adopt": _with_pulumi(_adopt),
    "env": _with_pulumi(_env),
    "doctor": _on_stack(lambda stack, args: stack.doctor(args.slow)),
    "users": _on_stack(_users),
    "login": _on_stack(_login),
    "status": _on_stack(_status),
    "outdated": _on_stack(_outdated),
    "rotate": _on_stack(_rotate),
    "mirrors": _on_stack(_mirrors),
    "gc": _on_stack(_gc),
    "retention": _on_stack(_retention),
    "backup": _on_stack(_backup),
    "restore": _on_stack(_restore),
    "clone": _with_pulumi(_clone),
    "move": _on_stack(_move),
    "logs": _on_stack(_logs),
    "docs": _docs,
}
"""Commands by name."""
