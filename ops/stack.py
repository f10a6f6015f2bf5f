"""One stack: its settings, its outputs, and what the Makefile's commands do with it.

What one command alone needs, it imports itself: a command that has nothing to do takes hardly
longer than its imports.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property, partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from components.run import takeover
from components.swarm.endpoint import Endpoint
from ops import backend, checkpoint, inventory, policy, resume
from ops.bootstrap import ROOT, images, state
from ops.bootstrap.console import UserError, confirm, run, say
from ops.bootstrap.environment import LOCAL, deploy_command, prepare_machine
from ops.config import Config
from ops.outputs import StackOutputs
from ops.pulumi import pulumi

if TYPE_CHECKING:
    from settings import Settings


def names() -> list[str]:
    """Return the stacks that the backend knows."""
    known = json.loads(run(["pulumi", "stack", "ls", "--json"]))
    return [each["name"].rpartition("/")[2] for each in known]


class Stack:
    """A stack of this project; what Pulumi says of it is asked for once, until it is deployed."""

    def __init__(self, name: str) -> None:
        """Take a stack that may not be there; UserError for a name that Pulumi gives none."""
        if not re.fullmatch(r"[A-Za-z0-9_.-]{1,100}", name):
            raise UserError(
                f"{name!r} is no name of a stack: up to 100 letters, digits, '-', '_' and '.'"
            )
        self.name = name

    @property
    def file(self) -> Path:
        """File with its settings."""
        return ROOT / f"Pulumi.{self.name}.yaml"

    @property
    def is_local(self) -> bool:
        """It is this machine's alone: nobody is asked, and nothing is reviewed."""
        return self.name == LOCAL

    @cached_property
    def config(self) -> Config:
        """Its configuration; secrets are empty in it."""
        return Config.read(self.name)

    @cached_property
    def whole_config(self) -> Config:
        """Its configuration, with secrets in plain text."""
        return Config.read(self.name, show_secrets=True)

    @property
    def engine_config(self) -> Config:
        """Its configuration, with secrets only where the engine takes them."""
        # They are decrypted where they are needed alone, and most stacks have none of these.
        return self.whole_config if self.config.has_engine_secrets else self.config

    @cached_property
    def settings(self) -> Settings:
        """All its settings, read and checked; a UserError lists what is wrong."""
        return self.whole_config.settings()

    @cached_property
    def endpoint(self) -> Endpoint:
        """The engine that it is deployed to; a UserError where there is none."""
        return self.engine_config.endpoint()

    @cached_property
    def last_outputs(self) -> StackOutputs | None:
        """Outputs of the last deployment; None before the first."""
        command = ["pulumi", "stack", "output", "--json", "--show-secrets", "--stack", self.name]
        return StackOutputs.read(json.loads(run(command)))

    @cached_property
    def cluster(self) -> str:
        """Id of the swarm that it was deployed to; empty where none was noted."""
        return checkpoint.read(self.name).cluster

    @property
    def outputs(self) -> StackOutputs:
        """Outputs of the last deployment; a UserError before the first."""
        if self.last_outputs is None:
            raise UserError(f"stack {self.name} isn't deployed: {deploy_command(self.name)}")
        return self.last_outputs

    def refresh(self) -> None:
        """Ask Pulumi anew from here on: the stack was changed."""
        for name in ("config", "whole_config", "settings", "endpoint", "last_outputs", "cluster"):
            self.__dict__.pop(name, None)

    def ensure(self, *, new: bool = False) -> None:
        """Have the stack in the backend; which one is selected stays as it is.

        Only a `new` one may have no settings yet.
        """
        backend.require_readable()
        if backend.has_file_of(self.name) or self.name in names():
            return
        if not new and not self.file.exists():
            raise UserError(
                f"there is no {self.file.name}; for a new environment:"
                f" make env NAME={self.name} FROM=stag DOMAIN=…"
            )
        create = ["pulumi", "stack", "init", "--no-select", self.name]
        try:
            run(create)
        except UserError as problem:
            # With the state went its passphrase, and with that the key that the file notes.
            if "incorrect passphrase" not in str(problem) or not state.has_own_passphrase():
                raise
            state.forget_key(self.file)
            run(create)

    def up(
        self,
        *flags: str,
        imports: Mapping[str, str] | None = None,
        forget: resume.Forget = "at home",
        move: takeover.Move | None = None,
    ) -> None:
        """Deploy to this machine with all that it needs, and say how to log in."""
        with ThreadPoolExecutor() as pool:
            # What takes some tenths of a second, while Docker is looked at. An error of Pulumi's is
            # raised by whoever needs the settings.
            if backend.has_file_of(self.name):
                pool.submit(lambda: self.config)
            pool.submit(import_module, inventory.CLIENT)
            prepare_machine()
            from ops import summary
        self.ensure()
        # Nobody confirms a preview here.
        # A developer's machine is its own swarm: when that is made anew, so is the stack.
        self._update("--skip-preview", *flags, imports=imports, forget=forget, move=move)
        summary.wait_until_reachable(self.outputs)
        summary.print_login(self.name, self.outputs)

    def deploy(
        self,
        *flags: str,
        imports: Mapping[str, str] | None = None,
        forget: resume.Forget = "never",
        move: takeover.Move | None = None,
    ) -> None:
        """Run `pulumi up` under the policy pack, without questions, and check from outside.

        `imports` are services and networks (ids by name) that come into the state.

        CHECK=no in the environment leaves the check out: for machines that can't reach the
        registry.
        """
        from ops import summary

        self.ensure()
        self._update(*policy.flags(self.config), *flags, imports=imports, forget=forget, move=move)
        if os.environ.get("CHECK") != "no":
            summary.wait_until_reachable(self.outputs)
        if self.outputs.mirrors:
            say(f"what the nodes need to know of the mirrors: make mirrors STACK={self.name}")

    def deploy_again(
        self,
        *flags: str,
        imports: Mapping[str, str] | None = None,
        forget: resume.Forget | None = None,
        move: takeover.Move | None = None,
    ) -> None:
        """Deploy as it was deployed before: by `make up` or `make deploy`."""
        deploy = self.up if self.is_local else self.deploy
        deploy(*flags, imports=imports, forget=forget or self._forgets, move=move)

    @property
    def _forgets(self) -> resume.Forget:
        """When its state may forget a swarm that is no more, unless somebody says otherwise."""
        return "at home" if self.is_local else "never"

    def _update(
        self,
        *flags: str,
        imports: Mapping[str, str] | None,
        forget: resume.Forget,
        move: takeover.Move | None,
    ) -> None:
        """Run `pulumi up` without questions; first end what was interrupted."""
        backend.require_room()
        if self.is_local and self.config.needs_tools_image:
            # Elsewhere a preview says what to type: whoever deploys may have no Go.
            images.ensure_tools()

        def update() -> None:
            rest = resume.finish(self, forget=forget)
            env = takeover.variables({**rest.imports, **(imports or {})}, rest.swarm, move)
            pulumi("up", "--yes", "--stack", self.name, *flags, *rest.flags, env=env)
            self.refresh()
            if rest.leaves_secrets or imports:
                resume.clean_up(self, services=False)

        self._alone(update)

    def _alone(self, act: Callable[[], None]) -> None:
        """Do `act`, which waits for other runs; again when one came between and took the lock."""
        while True:
            try:
                return act()
            except UserError:
                self.refresh()
                if not backend.is_held(self.name):
                    raise
                say("another run of the stack came first")

    def preview(self, form: str = "terminal") -> None:
        """Show what `deploy` would do; `form` is `terminal`, `markdown` or `comment`."""
        from ops.review import comment
        from ops.review.report import deployment_report, gaps_reported

        self.ensure()
        os.environ.update(takeover.variables(resume.foresee(self)))
        flags = policy.flags(self.config)
        if form == "terminal":
            with gaps_reported() as more:
                return pulumi("preview", "--diff", "--stack", self.name, *flags, *more)
        report = deployment_report(self.name, *flags)
        return report.publish(partial(comment.post, self.name) if form == "comment" else None)

    def down(self) -> None:
        """Remove the stack's services; its images and the label of their node stay.

        Asks first, unless it is `local`, which is this machine's alone.
        """
        if not self.is_local:
            confirm(
                f"Remove the services of stack {self.name}, so that nobody reaches the registry?"
            )
        self.ensure()

        def destroy() -> None:
            rest = resume.finish_before_destroying(self, forget=self._forgets)
            env = takeover.variables({}, rest.swarm)
            # Whoever had to agree has done so.
            pulumi("destroy", "--yes", "--skip-preview", "--stack", self.name, env=env)
            self.refresh()

        self._alone(destroy)
        # Now nothing is on the networks, and nothing uses the secrets, that earlier runs have left.
        resume.clean_up(self)
        say(
            "the images are kept, unless registry:destroyData is set; the next deployment finds"
            " them"
        )

    def doctor(self, slow_seconds: int | None = None) -> None:
        """Check the object store, if there is one, and what is deployed."""
        from ops.doctor.checks import SLOW_SECONDS, examine
        from ops.doctor.store import store_of
        from ops.doctor.store_trial import check_store

        self.ensure()
        store = store_of(self.whole_config)
        if store:
            self.engine_config.lead_docker()
            print(f"{store.bucket}, seen from the engine")
            check_store(store)
            if self.last_outputs is None:
                say(f"all else is to be seen once it is deployed: {deploy_command(self.name)}")
                return
        examine(self.outputs, SLOW_SECONDS if slow_seconds is None else slow_seconds)
