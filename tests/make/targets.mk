# What one can ask for. A comment after `##` is the target's line in `make help`.

.PHONY: all module asan tsan clang unit unit-plain unit-asan tsan-unit help clean
all: $(PLAIN)/mod_cxxproxy.so $(PLAIN)/mod_cxxproxy_compat.so ## build/mod_cxxproxy.so and build/mod_cxxproxy_compat.so

asan: $(ASAN)/mod_cxxproxy.so $(ASAN)/mod_cxxproxy_compat.so ## the same under build/asan/ with ASan and UBSan

tsan: $(TSAN)/mod_cxxproxy.so $(TSAN)/mod_cxxproxy_compat.so ## the same under build/tsan/ with ThreadSanitizer

clang: $(CLANG)/mod_cxxproxy.so $(CLANG)/mod_cxxproxy_compat.so ## the module once more with clang++, warnings are errors

unit: unit-plain unit-asan ## unit tests, plainly and with ASan and UBSan (ROOMS="base http" narrows, ARGS="[tag]" selects)

unit-plain: $(PLAIN)/unit_tests ## unit tests, plainly
	$(Q)$< $(ARGS)

unit-asan: $(ASAN)/unit_tests ## unit tests with ASan and UBSan
	$(Q)$< $(ARGS)

tsan-unit: $(TSAN)/unit_tests ## unit tests with ThreadSanitizer
	$(Q)$< $(ARGS)

fuzz-replay: $(FUZZ_REPLAYERS) ## every fuzz target over its corpus, with ASan and UBSan
	$(Q)tests/tools/fuzz_replay.sh $(ASAN) $(FUZZ_NAMES)

T ?=
S ?= 60
fuzz: $(if $(T),$(FUZZ)/fuzz_$(T)) ## make fuzz T=name S=seconds: coverage-guided search (clang, libFuzzer)
	@test -n "$(T)" || { echo "make fuzz T=name S=seconds; names: $(FUZZ_NAMES)" >&2; exit 1; }
	@mkdir -p $(FUZZ)/found/$(T)
	$(Q)$(FUZZ)/fuzz_$(T) -max_total_time=$(S) -artifact_prefix=$(FUZZ)/found/$(T)/ $(FUZZ)/found/$(T) tests/fuzz/corpus/$(T)

CPU ?= 600
fuzz-all: $(FUZZERS) ## every fuzz target for 10 CPU minutes (CPU=seconds), one after the other
	$(Q)$(PYTHON) tests/tools/fuzz_search.py $(FUZZ) $(CPU) $(FUZZ_NAMES)

fuzz-merge: $(if $(T),$(FUZZ)/fuzz_$(T)) ## make fuzz-merge T=name: the smallest corpus with the coverage of what was found
	$(Q)tests/tools/fuzz_merge.sh $(FUZZ) $(T)
.PHONY: fuzz-replay fuzz fuzz-all fuzz-merge

.PHONY: layers symbols tags docs docs-check conf conf-asan itest itest-plain itest-asan itest-tsan apache2-tree
layers: ## who includes whom, against the table in docs/ARCHITECTURE.md
	$(Q)tests/tools/sum.sh tests/check_layers.py tests/check_layers.py --self-test

symbols: all asan clang ## what the shared objects export and need
	$(Q)tests/check_symbols.sh $(PLAIN) $(CLANG) $(ASAN)

tags: ## log tags: used, registered, explained
	$(Q)tests/tools/sum.sh tests/check_tags.py tests/check_tags.py --self-test

docs: $(O)/gen_directives ## writes docs/directives.md from the option rows
	$(Q)$< >$(O)/directives.md && mv $(O)/directives.md docs/directives.md

docs-check: $(O)/gen_directives
	$(Q)$< >$(O)/directives.md
	$(Q)diff -u docs/directives.md $(O)/directives.md && echo "1 passed, 0 failed" || \
	  { echo "docs/directives.md is out of date: run make docs"; echo "0 passed, 1 failed"; exit 1; }

conf: all ## configtest on the golden configurations
	$(Q)$(PYTHON) tests/conf/run.py $(abspath $(PLAIN))/mod_cxxproxy.so

conf-asan: asan
	$(Q)$(PYTHON) tests/conf/run.py $(abspath $(ASAN))/mod_cxxproxy.so --asan

# Without ARGS several files run at a time. ARGS goes to one pytest: make itest-plain ARGS="-k tutorial"
# REACTOR=On or Off is `ProxyReactor` of the servers whose test does not say it.
pytest_options = -p no:cacheprovider -ra
pytest = CXXPROXY_SO=$(abspath $(1))/mod_cxxproxy.so CXXPROXY_COMPAT_SO=$(abspath $(1))/mod_cxxproxy_compat.so \
  CXXPROXY_APACHE2_TREE=$(abspath $(O))/apache2-tree PYTHONDONTWRITEBYTECODE=1 CXXPROXY_REACTOR=$(REACTOR) \
  CXXPROXY_HOOK_SO=$(abspath $(O))/bench_sleep.so $(2) \
  $(PYTHON) $(if $(ARGS),-m pytest $(pytest_options) tests/integration $(ARGS),tests/tools/shards.py $(or $(3),tests/integration) $(4) $(pytest_options))

itest: ## integration tests, plainly and then with ASan and UBSan (ARGS goes to pytest)
	+$(Q)$(MAKE) --no-print-directory itest-plain && $(MAKE) --no-print-directory itest-asan

itest-plain: all $(O)/bench_sleep.so apache2-tree ## integration tests against a real httpd
	$(Q)$(call pytest,$(PLAIN))

itest-asan: asan $(O)/bench_sleep.so apache2-tree ## the same with ASan and UBSan
	$(Q)$(call pytest,$(ASAN),CXXPROXY_ASAN=1)

# Where the threads of the loop, of the lot and of the MPM meet. More at a time: httpd takes a second to end, because
# ThreadSanitizer holds its signals back.
TSAN_TESTS := $(wildcard tests/integration/test_reactor*.py tests/integration/test_park*.py)
itest-tsan: tsan $(O)/bench_sleep.so apache2-tree ## the tests of what threads share, with ThreadSanitizer
	$(Q)$(call pytest,$(TSAN),CXXPROXY_TSAN=1,$(TSAN_TESTS),-j 6)

# Every kind of exchange, and reloads; valgrind makes httpd some twenty times slower, so few of each.
VALGRIND_TESTS := tests/integration/test_soak.py tests/integration/test_graceful.py -k 'mixed or still_rests'
valgrind: all ## mixed requests and a reload with httpd under valgrind's memcheck
	$(Q)CXXPROXY_VALGRIND=1 CXXPROXY_SOAK=360 CXXPROXY_SO=$(abspath $(PLAIN))/mod_cxxproxy.so PYTHONDONTWRITEBYTECODE=1 \
	  $(PYTHON) -m pytest -p no:cacheprovider -ra $(VALGRIND_TESTS)
.PHONY: valgrind

N ?= 100000
soak: all ## N mixed requests (100000 unless said) without growth of memory, descriptors or pools
	$(Q)CXXPROXY_SOAK=$(N) CXXPROXY_SO=$(abspath $(PLAIN))/mod_cxxproxy.so PYTHONDONTWRITEBYTECODE=1 \
	  $(PYTHON) -m pytest -p no:cacheprovider -rA tests/integration/test_soak.py
.PHONY: soak

apache2-tree: $(O)/apache2-tree/usr/sbin/a2enmod ## Debian's apache2 package, unpacked: a2enmod, apachectl, /etc/apache2
$(O)/apache2-tree/usr/sbin/a2enmod:
	@mkdir -p $(O)
	$(Q)tests/tools/apache2_tree.sh $(O)/apache2-tree

.PHONY: tools-check
tools-check: # the counting of `make check` itself
	$(Q)$(PYTHON) tests/tools/check_counts.py

# The next ones install packages first, so they read this Makefile again afterwards: only then are
# the compilers' and httpd's flags known.
.PHONY: check demo demo-check check-fresh
check: ## everything; the last line is `N passed, N failed` (STAGES="unit conf" narrows)
	+$(Q)tests/tools/need.sh check && MAKE="$(MAKE)" exec $(PYTHON) tests/tools/check.py $(O) $(STAGES)

demo: ## two Flask backends behind an httpd of its own, until Ctrl-C (PORT=n chooses the port)
	+$(Q)tests/tools/need.sh demo && $(MAKE) --no-print-directory all && PORT="$(PORT)" exec tests/tools/demo.sh $(O)

demo-check: all ## does the demo start, alternate, and leave nothing behind
	$(Q)tests/tools/demo_check.sh $(O)

check-fresh: ## both commands and the package in throw-away Debian 12 roots (root only, minutes)
	$(Q)tests/tools/need.sh fresh && exec tests/tools/check_fresh.sh $(O)

clean: ## removes build/
	$(Q)rm -rf $(O)

help: ## this list
	@awk 'BEGIN { FS = ":.*## " } /^[a-z][a-z-]*:.*## / { printf "  %-14s %s\n", $$1, $$2 }' Makefile tests/make/*.mk

.PHONY: bench-routes
bench-routes: all ## what finding a rule costs with 10 and 10,000 of them, and large configurations beside mod_proxy
	$(Q)$(CXX) -std=c++20 -O2 -Isrc tests/bench/route_bench.cpp src/config/route_table.cpp src/config/servlet_path.cpp src/config/pattern.cpp \
	  -o $(O)/route_bench
	$(Q)$(PYTHON) tests/bench/config_bench.py --lookups $(O)/route_bench -o $(O)/bench-routes.json $(abspath $(PLAIN))/mod_cxxproxy.so
