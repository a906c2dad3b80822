# What one can ask for. A comment after `##` is the target's line in `make help`.

.PHONY: all module asan clang unit unit-plain unit-asan tsan-unit help clean
all: $(PLAIN)/mod_cxxproxy.so $(PLAIN)/mod_cxxproxy_compat.so ## build/mod_cxxproxy.so and build/mod_cxxproxy_compat.so

asan: $(ASAN)/mod_cxxproxy.so $(ASAN)/mod_cxxproxy_compat.so ## the same under build/asan/ with ASan and UBSan

clang: $(CLANG)/mod_cxxproxy.so $(CLANG)/mod_cxxproxy_compat.so $(CLANG)/unit_tests ## everything once more with clang++, warnings are errors

unit: unit-plain unit-asan ## unit tests, plainly and with ASan and UBSan (ROOMS="base http" narrows, ARGS="[tag]" selects)

unit-plain: $(PLAIN)/unit_tests ## unit tests, plainly
	$(Q)$< $(ARGS)

unit-asan: $(ASAN)/unit_tests ## unit tests with ASan and UBSan
	$(Q)$< $(ARGS)

tsan-unit: $(TSAN)/unit_tests ## unit tests with ThreadSanitizer (clang++)
	$(Q)$< $(ARGS)

fuzz-replay: $(FUZZ_REPLAYERS) ## every fuzz target over its corpus, with ASan and UBSan
	$(Q)tests/tools/fuzz_replay.sh $(ASAN) $(FUZZ_NAMES)

T ?=
S ?= 60
fuzz: $(if $(T),$(FUZZ)/fuzz_$(T)) ## make fuzz T=name S=seconds: coverage-guided search (clang, libFuzzer)
	@test -n "$(T)" || { echo "make fuzz T=name S=seconds; names: $(FUZZ_NAMES)" >&2; exit 1; }
	@mkdir -p $(FUZZ)/found/$(T)
	$(Q)$(FUZZ)/fuzz_$(T) -max_total_time=$(S) -artifact_prefix=$(FUZZ)/found/$(T)/ $(FUZZ)/found/$(T) tests/fuzz/corpus/$(T)
.PHONY: fuzz-replay fuzz

clean: ## removes build/
	$(Q)rm -rf $(O)

help: ## this list
	@awk 'BEGIN { FS = ":.*## " } /^[a-z][a-z-]*:.*## / { printf "  %-14s %s\n", $$1, $$2 }' Makefile tests/make/*.mk
