# The front door. Everything behind it is in ops/; `pulumi` itself works from `eval "$(make -s exports)"`.

STACK ?= local
OPS := @python3 -m ops

.PHONY: help up build deploy preview drift down recover mirrors doctor adopt env exports logs test bench

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

up: ## deploy on this machine: http://localhost, and install what that needs
	$(OPS) up

build: ## pull the images, or build them where Docker Hub can't be reached
	$(OPS) build

deploy: ## pulumi up, without questions: make deploy STACK=prod
	$(OPS) deploy --stack $(STACK)

preview: ## what a deployment would change; FORMAT=markdown, or comment
	$(OPS) preview --stack $(STACK) $(if $(FORMAT),--format $(FORMAT))

drift: ## whether what is deployed still matches; fails if it doesn't
	$(OPS) drift --stack $(STACK)

down: ## remove a stack's services; its images stay
	$(OPS) down --stack $(STACK)

recover: ## after a lost state or swarm: take over what runs, images and all: make recover STACK=prod
	$(OPS) recover --stack $(STACK)

logs: ## the last lines of a stack's services; FOLLOW=1 goes on reading
	$(OPS) logs --stack $(STACK) $(if $(FOLLOW),--follow)

mirrors: ## what nodes are told of the pull-through caches (Docker, containerd): make mirrors STACK=prod
	$(OPS) mirrors --stack $(STACK)

doctor: ## what clients meet: name, certificate, login, a slow upload: make doctor STACK=prod
	$(OPS) doctor --stack $(STACK) $(if $(SLOW),--slow $(SLOW))

adopt: ## take over a running registry: make adopt STACK=prod FROM=registry-com (LOGINS=keep)
	$(OPS) adopt --stack $(STACK) --from '$(FROM)' --logins '$(LOGINS)'

env: ## a new environment: make env NAME=preprod FROM=stag DOMAIN=preprod.example.com
	$(OPS) env --name '$(NAME)' --from '$(FROM)' --domain '$(DOMAIN)'

exports: ## this project's pulumi and state for your shell: eval "$(make -s exports)"
	$(OPS) exports

test: ## formatter, linter, types, unit tests, system tests (as root); ARGS='-k mirrors' for some
	$(OPS) test

bench: ## what it costs, beside Terraform, `docker stack deploy` and a bare registry (as root)
	$(OPS) bench
