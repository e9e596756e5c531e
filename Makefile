# keepword. `make` lists the targets; each installs what it lacks (as root).

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

PREFIX   ?= /usr/local
FUZZTIME ?= 20s
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.7.0

# Where git refuses the checkout (another user's), the version can't be stamped.
BUILDVCS = $(shell git rev-parse HEAD >/dev/null 2>&1 || echo -buildvcs=false)

# Packages whose tests make network namespaces, and so need root.
LAB_PACKAGES = $(shell grep -rl --include='*_test.go' '^//go:build lab' . | xargs -r -n1 dirname | sort -u)

.PHONY: help build run test demo bench generate lint fuzz install

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | while IFS=$$'\t' read -r t h; do printf '  make %-10s %s\n' "$$t" "$$h"; done

build: ## build build/keepword
	CGO_ENABLED=0 go build -trimpath $(BUILDVCS) -o build/keepword ./cmd/keepword

run: build ## build, and inspect this host's own mail traffic until interrupted (root)
	build/keepword run -c packaging/host.yaml

test: export KEEPWORD_EVE_SCHEMA = $(shell packaging/schema.sh)
test: ## vet and all tests; as root those of the lab too
	@packaging/deps.sh gcc
	@[ -n "$$KEEPWORD_EVE_SCHEMA" ] || { \
		echo "*** THE EVENTS ARE NOT VALIDATED: Suricata's schema could not be fetched. ***" >&2; \
		[ "$${CI:-}" != true ]; \
	}
	go vet ./...
	go vet -tags lab ./...
	go test -timeout 5m ./...
	go test -count 1 -v -run SuricatasSchema ./cmd/keepword/... | sed -n '/events checked/s/.*: //p'
	CGO_ENABLED=1 go test -race -timeout 8m ./inspect/... ./cmd/...
	@if [ "$$(id -u)" = 0 ]; then \
		packaging/deps.sh $$(cat bench/lab/packages.txt); \
		echo "go test -tags lab -count 1 -p 1 -timeout 8m" $(LAB_PACKAGES); \
		go test -tags lab -count 1 -p 1 -timeout 8m $(LAB_PACKAGES); \
	else \
		echo "*** THE LAB TESTS WERE NOT RUN: they make network namespaces and need root. ***" >&2; \
		[ "$${CI:-}" != true ]; \
	fi

demo: ## play the failure of 1999 with and without keepword, in network namespaces (root)
	@packaging/deps.sh $$(cat bench/lab/packages.txt)
	go run ./bench/demo

bench: ## run the Go benchmarks, and as root compare gateways (SURICATA=1 gets Suricata for it)
	go test -run '^$$' -bench . -benchmem -benchtime 200ms ./...
	@if [ "$$(id -u)" = 0 ]; then \
		[ -z "$(SURICATA)" ] || bench/line/suricata.sh; \
		go run ./bench/line; \
	else \
		echo "*** THE COMPARISON OF GATEWAYS WAS NOT RUN: it makes network namespaces and needs root. ***" >&2; \
	fi

generate: ## make the committed generated files anew
	@packaging/deps.sh clang-14 llvm-14 libbpf-dev linux-libc-dev
	go generate ./...

lint: ## gofmt, vet, staticcheck
	@unformatted=$$(gofmt -l $$(git ls-files '*.go')); \
	if [ -n "$$unformatted" ]; then echo "run gofmt -w on:" $$unformatted >&2; exit 1; fi
	go vet ./...
	go vet -tags lab ./...
	go run $(STATICCHECK) ./...
	go run $(STATICCHECK) -tags lab ./...

fuzz: ## run every fuzz target for FUZZTIME (20s) each
	@for p in $$(go list ./...); do \
		for f in $$(go test -list '^Fuzz' $$p | grep '^Fuzz' || true); do \
			echo "$$p $$f"; \
			go test -run '^$$' -fuzz "^$$f\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 100x $$p; \
		done; \
	done

install: build ## install to PREFIX (/usr/local), with a systemd unit; keeps a configuration that is there
	install -D -m 755 build/keepword $(DESTDIR)$(PREFIX)/sbin/keepword
	[ -e $(DESTDIR)/etc/keepword/keepword.yaml ] || \
		install -D -m 644 packaging/keepword.yaml $(DESTDIR)/etc/keepword/keepword.yaml
	install -D -m 644 packaging/logrotate/keepword $(DESTDIR)/etc/logrotate.d/keepword
	mkdir -p $(DESTDIR)/etc/systemd/system
	sed 's|@PREFIX@|$(PREFIX)|' packaging/keepword.service > $(DESTDIR)/etc/systemd/system/keepword.service
