SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

GOLANGCI_LINT_VERSION := v2.15.0
SQLC_VERSION          := v1.31.1

BIN           := $(CURDIR)/.bin
GOLANGCI_LINT ?= $(BIN)/golangci-lint-$(GOLANGCI_LINT_VERSION)/golangci-lint
SQLC          ?= $(BIN)/sqlc-$(SQLC_VERSION)/sqlc

CLIENTS := $(BIN)/clients/node_modules/.package-lock.json

# Coverage counts what a user links. Programs, benchmarks, the checks of the
# source tree and of the tests, the Postgres that tests start and generated code
# are left out.
COVERAGE     ?= coverage.out
COVERAGE_MIN ?= 85
NOT_LIBRARY  := /(example|cmd|internal/bench|internal/chaos|internal/hostile|internal/layout|internal/mutants|internal/pgserver|internal/pgtest)(/|$$)

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "%-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: test
test: ## Run the tests of the library with the race detector
	go test -race -shuffle=on -timeout=20m $$(go list ./... | grep -Ev '$(NOT_LIBRARY)')

# The tests that the README names, with a profile of what they cover. The flags are not in the
# environment, where they would also hold for what tests build.
TESTS ?= go test ./...

.PHONY: cover
cover: ## Run all tests, and report the statement coverage of the library
	@library="$$(go list ./... | grep -Ev '$(NOT_LIBRARY)' | paste -sd, -)"; \
	$(subst go test,go test -covermode=set -coverprofile='$(COVERAGE)' -coverpkg="$$library",$(TESTS)) \
		| sed -E 's/\tcoverage: .*//'
	@grep -v '\.gen\.go:' '$(COVERAGE)' > '$(COVERAGE).tmp' && mv '$(COVERAGE).tmp' '$(COVERAGE)'
	@go tool cover -func='$(COVERAGE)' | awk -v min='$(COVERAGE_MIN)' ' \
		$$1 == "total:" { found = 1; got = $$3 + 0 } \
		END { \
			if (!found) { print "coverage: the profile has no total"; exit 1 } \
			printf "coverage: %.1f %% of the statements of the library, at least %s %% required\n", got, min; \
			exit got < min \
		}'

# Modules of their own keep their dependencies out of the library's go.mod.
MODULES := example/orm

.PHONY: modules
modules: ## Vet and test the modules below this one
	@for module in $(MODULES); do \
		printf '== %s\n' "$$module"; \
		(cd "$$module" && go mod tidy -diff && go vet ./... && go test -race ./...); \
	done

# They are in files with the build tag, and no other target runs them.
.PHONY: interop
interop: $(CLIENTS) ## Run the tests that need other programs than Go and Postgres, and install those
	@command -v python3 >/dev/null || .ci/apt-install python3
	@command -v nginx /usr/sbin/nginx >/dev/null || .ci/apt-install nginx
	@command -v pgbouncer /usr/sbin/pgbouncer >/dev/null || .ci/apt-install pgbouncer
	@files=$$(grep -rl --include='*_test.go' '^//go:build interop$$' .); \
	names=$$(sed -nE 's/^func (Test[A-Za-z0-9_]*)\(.*/\1/p' $$files | paste -sd'|' -); \
	go test -race -shuffle=on -tags interop -run "^($$names)$$" $$(dirname $$files | sort -u)

# Libraries that verify webhooks, of those who defined the formats.
$(CLIENTS): delivery/testdata/clients/package-lock.json
	@command -v npm >/dev/null || .ci/apt-install nodejs npm
	mkdir -p '$(BIN)/clients'
	cp delivery/testdata/clients/package.json '$<' '$(BIN)/clients'
	npm ci --prefix '$(BIN)/clients' --ignore-scripts --no-audit --no-fund
	touch '$@'

.PHONY: lint
lint: $(GOLANGCI_LINT) ## Run golangci-lint
	'$(GOLANGCI_LINT)' run ./...

.PHONY: generate
generate: $(SQLC) ## Generate internal/store from its SQL
	'$(SQLC)' generate

.PHONY: verify
verify: $(SQLC) ## Check that generated code, go.mod and formatting are up to date, and go vet
	'$(SQLC)' diff
	go mod tidy -diff
	@unformatted=$$(gofmt -l .); \
	if [ -n "$$unformatted" ]; then printf 'gofmt -l:\n%s\n' "$$unformatted"; exit 1; fi
	go vet -tags interop ./...

.PHONY: mutants
mutants: ## Break each promise on purpose, and check that a test fails; MUTANTS=REGEXP for some
	go run ./internal/mutants -only '$(MUTANTS)'

# The short form is in every go test.
CHAOSTIME    ?= 10m
CHAOSSEED    ?= 0
CHAOSTROUBLE ?= .

.PHONY: chaos
chaos: ## Kill, freeze, cut, edit, erase, move and fail all at once for CHAOSTIME (10m), with the race detector; CHAOSSEED=N for the choices of a run that failed, CHAOSTROUBLE=REGEXP for some kinds
	go test -race ./internal/chaos -count 1 -v -timeout 2h -chaos.for '$(CHAOSTIME)' -chaos.seed '$(CHAOSSEED)' -chaos.trouble '$(CHAOSTROUBLE)'

# The corpora in testdata/fuzz run in every go test. A new input that fails is
# written there: it stays, with what it found mended.
FUZZ     ?= .
FUZZTIME ?= 60s

.PHONY: fuzz
fuzz: ## Look for inputs that break parsers and checks, FUZZTIME (60s) for each target; FUZZ=REGEXP for some
	@grep -rHoE --include='*_test.go' '^func Fuzz[A-Za-z0-9_]*' . | sort | sed 's/:func /:/' | while IFS=: read -r file target; do \
		[[ "$$target" =~ $(FUZZ) ]] || continue; \
		printf '== %s in %s\n' "$$target" "$$(dirname "$$file")"; \
		go test -run '^$$' -fuzz "^$$target\$$" -fuzztime '$(FUZZTIME)' "$$(dirname "$$file")" </dev/null; \
	done

BENCHSIZE ?= -quick

.PHONY: bench
bench: ## Run each benchmark once, and all scenarios of internal/bench quickly, in under 7 minutes (BENCHSIZE=-tiny: in under 2)
	go test -run '^$$' -bench . -benchtime 1x $$(grep -rlE --include='*_test.go' '^func Benchmark' . | xargs -n1 dirname | sort -u)
	go run ./internal/bench -scenario all $(BENCHSIZE)

# Both tools are built from source, once a version. sqlc's parser is C that
# takes minutes to compile; without cgo it comes as WebAssembly.
$(BIN)/golangci-lint-$(GOLANGCI_LINT_VERSION)/golangci-lint:
	GOBIN='$(@D)' go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_LINT_VERSION)

$(BIN)/sqlc-$(SQLC_VERSION)/sqlc:
	GOBIN='$(@D)' CGO_ENABLED=0 go install github.com/sqlc-dev/sqlc/cmd/sqlc@$(SQLC_VERSION)
