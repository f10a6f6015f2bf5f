# The front door. Everything behind it is in ops/; `pulumi` itself works from `eval "$(make -s exports)"`.

# What is typed after a command (STACK=prod) reaches ops/ through the environment, as it was typed:
# neither make nor a shell reads what is in it.
VARIABLES := STACK FORMAT SLOW FOLLOW NAME FROM DOMAIN LOGINS YES CHECK ARGS
$(foreach variable,$(VARIABLES),$(eval override $(variable) := $$(value $(variable))))
export $(VARIABLES)

OPS := @python3 -m ops

.PHONY: help up build deploy preview drift deployed down recover mirrors doctor adopt env exports tools logs test lock bench

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

up: ## deploy on this machine: http://localhost, and install what that needs
	$(OPS) up

build: ## pull the images, or build them where Docker Hub can't be reached
	$(OPS) build

deploy: ## pulumi up, without questions: make deploy STACK=prod
	$(OPS) deploy

preview: ## what a deployment would change; FORMAT=markdown, or comment
	$(OPS) preview

drift: ## whether what is deployed still matches; fails if it doesn't
	$(OPS) drift

deployed: ## commit of a stack's last deployment that came up: what drift is compared with
	$(OPS) deployed

down: ## remove a stack's services; its images stay. Asks first, unless YES=1 or STACK=local
	$(OPS) down

recover: ## after a lost state or swarm: take over what runs, images and all: make recover STACK=prod
	$(OPS) recover

logs: ## the last lines of a stack's services, by time; FOLLOW=1 goes on reading
	$(OPS) logs

mirrors: ## what nodes are told of the pull-through caches (Docker, containerd): make mirrors STACK=prod
	$(OPS) mirrors

doctor: ## what clients meet: name, certificate, login, a slow upload: make doctor STACK=prod
	$(OPS) doctor

adopt: ## take over a running registry: make adopt STACK=prod FROM=registry-com (LOGINS=keep, or new)
	$(OPS) adopt

env: ## a new environment: make env NAME=preprod FROM=stag DOMAIN=preprod.example.com
	$(OPS) env

exports: ## this project's pulumi and state for your shell: eval "$(make -s exports)"
	$(OPS) exports

tools: ## what all of these need, installed: virtual environment, Pulumi and its plugins
	$(OPS) tools

test: ## formatter, linter, types, unit tests, system tests (as root); ARGS='-k mirrors' for some
	$(OPS) test

lock: ## pin what requirements*.in name, with all that they need and their hashes
	$(OPS) lock

bench: ## what it costs, beside Terraform, `docker stack deploy` and a bare registry (as root)
	$(OPS) bench
