# The front door. Everything behind it is in ops/; `pulumi` itself works from `eval "$(make -s env)"`.

STACK ?= local
OPS := @python3 -m ops

.PHONY: help up build deploy preview drift down logs env test

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

logs: ## the last lines of a stack's services; FOLLOW=1 goes on reading
	$(OPS) logs --stack $(STACK) $(if $(FOLLOW),--follow)

env: ## the environment of this project for your shell: eval "$(make -s env)"
	$(OPS) env

test: ## formatter, linter, types, unit tests, system tests (as root)
	$(OPS) test
