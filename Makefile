# The front door. Everything behind it is in ops/; `pulumi` itself works from `eval "$(make -s exports)"`.

# A command refuses what it would leave out: DYR=1 would be no dry run. Under another make that one's
# variables would be among them.
TOP := $(filter 0,$(MAKELEVEL))
export override TYPED := $(if $(TOP),$(foreach v,$(.VARIABLES),$(if $(filter command,$(origin $v)),$v)))

# What is typed after a command (STACK=prod) reaches ops/ through the environment, as it was typed:
# neither make nor a shell reads what is in it.
VARIABLES := STACK FORMAT SLOW FOLLOW NAME FROM DOMAIN LOGINS YES CHECK ARGS PUSH PRINT OVERLAP KEY DRY UNDO LIST TO VERIFY GENERATION OVERWRITE SECRETS PASSPHRASE_FILE NODE ONLY
$(foreach variable,$(VARIABLES),$(eval override $(variable) := $$(value $(variable))))
export $(VARIABLES)
# Every shell has a USER, who is another one: here a typed one counts alone.
export override LOGIN_USER := $(if $(filter command,$(origin USER)),$(value USER))

# Most commands go on in the virtual environment: where that is whole, they begin there, and save
# the start of another Python.
WHOLE := $(and $(wildcard .venv/bin/python),$(wildcard .venv/.requirements.txt))
PYTHON := $(if $(WHOLE),$(if $(wildcard .venv/.unfinished),python3,.venv/bin/python),python3)
OPS := @$(PYTHON) -m ops

.PHONY: help up build deploy preview down status logs doctor users login rotate drift
.PHONY: outdated deployed mirrors gc retention move backup restore clone env adopt recover
.PHONY: exports tools check fmt test lock docs bench

help: ## this list
	@awk -F ':.*## ' '/^##@ / {printf "\n%s\n", substr($$0, 5)} \
		/^[a-z]+:.*## / {printf "  make %-9s  %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@printf '\nA command and its variables: python3 -m ops COMMAND --help\n'

##@ Deploy (the stack `local`, unless STACK names another)

up: ## everything on this machine, installed first: http://localhost
	$(OPS) up

preview: ## what a deployment would change; FORMAT=markdown, or comment
	$(OPS) preview

deploy: ## pulumi up, without questions: make deploy STACK=prod
	$(OPS) deploy

down: ## remove services, keep images; asks first, unless YES=1
	$(OPS) down

##@ Look after what is deployed

status: ## one screen: is all well? exit code 1 if not; FORMAT=json
	$(OPS) status

logs: ## last lines of all services, by time; FOLLOW=1 reads on
	$(OPS) logs

doctor: ## what clients meet: name, certificate, login, a slow upload
	$(OPS) doctor

users: ## who may log in, and what each may do; never a secret
	$(OPS) users

login: ## docker login, here: USER=deploy; PRINT=1: for another machine
	$(OPS) login

rotate: ## another password: USER=ci OVERLAP=24h; another key: KEY=1
	$(OPS) rotate

mirrors: ## what nodes need to be told to use the pull-through caches
	$(OPS) mirrors

gc: ## free what was deleted: DRY=1 shows it, UNDO=1 brings it back
	$(OPS) gc

retention: ## let old tags go, by registry:retention; DRY=1 shows which
	$(OPS) retention

backup: ## copy the images: TO=s3://bucket/x; VERIFY=1, LIST=1, SECRETS=1
	$(OPS) backup

restore: ## bring a backup back: FROM=…, GENERATION=…; SECRETS=file
	$(OPS) restore

clone: ## copy a stack's images to another: FROM=prod TO=stag
	$(OPS) clone

move: ## the images elsewhere, while in use: NODE=cat, or a bucket
	$(OPS) move

drift: ## compare what runs with what was deployed; fails if it differs
	$(OPS) drift

outdated: ## images and Pulumi packages that have newer versions
	$(OPS) outdated

deployed: ## commit of the last deployment that came up
	$(OPS) deployed

##@ Begin, move in, recover

env: ## new stack: NAME=preprod FROM=stag DOMAIN=preprod.example.com
	$(OPS) env

adopt: ## take over a registry that runs: STACK=prod FROM=registry-com
	$(OPS) adopt

recover: ## take over what runs after the state or the swarm was lost
	$(OPS) recover

##@ Prepare

exports: ## pulumi and its state in your shell: eval "$(make -s exports)"
	$(OPS) exports

tools: ## install virtual environment, Pulumi and its plugins
	$(OPS) tools

build: ## pull or build the images; PUSH=ghcr.io/acme: push ours
	$(OPS) build

##@ Develop

check: ## formatter, linter, types, unit tests; no root, one minute
	$(OPS) check

fmt: ## format, sort imports, mend what the linter can
	$(OPS) fmt

test: ## all that check does, then the tests on a real swarm (as root)
	$(OPS) test

lock: ## pin what requirements*.in name, and what that needs
	$(OPS) lock

docs: ## write what of the documents is made from the program
	$(OPS) docs

bench: ## costs beside Terraform's, and others' (as root); ONLY=load
	$(OPS) bench
