# The benchmark (tests/bench/README.md): make bench S="small-get tls" P="mod_proxy cxxproxy" R=7

LOAD_OBJS := $(call objs,$(PLAIN),$(sort $(wildcard tests/bench/load/*.cpp)))
$(PLAIN)/obj/tests/bench/%.o: TEST_FLAGS = -O2
$(PLAIN)/obj/tests/bench/sleeping_hook.o: KIND_FLAGS = $(httpd_flags)
$(PLAIN)/obj/tests/bench/sleeping_hook.o: | have-httpd

$(O)/bench_load: $(LOAD_OBJS)
	$(call say,link,$@)
	$(Q)$(CXX) -o $@ $^ $(LDFLAGS) -lssl -lcrypto

$(O)/bench_sleep.so: $(PLAIN)/obj/tests/bench/sleeping_hook.o
	$(call say,link,$@)
	$(Q)$(CXX) -shared -o $@ $^ $(LDFLAGS)

# S, P and R are those of this command only (S and T have other meanings for `make fuzz`).
BENCH_S := $(if $(filter command line environment,$(origin S)),$(S))
bench_run = CXXPROXY_SO=$(abspath $(PLAIN))/mod_cxxproxy.so $(PYTHON) tests/bench/run.py -s "$(BENCH_S)" -p "$(P)" $(if $(R),-r $(R)) \
  $(if $(HOURS),--hours $(HOURS))

.PHONY: bench-tools bench bench-quick bench-smoke bench-trace bench-report
bench-tools: all $(O)/bench_load $(O)/bench_sleep.so

bench: ## beside mod_proxy, nginx and HAProxy (S="scenario ..." P="proxy ..." R=rounds HOURS=h)
	+$(Q)tests/tools/need.sh bench && { tests/tools/need.sh peers || true; } && $(MAKE) --no-print-directory bench-tools
	$(Q)$(bench_run)
	+$(Q)$(if $(BENCH_S)$(P),:,$(MAKE) --no-print-directory bench-routes)

bench-quick: ## a selection of it in less than three minutes
	+$(Q)tests/tools/need.sh bench && { tests/tools/need.sh peers || true; } && $(MAKE) --no-print-directory bench-tools
	$(Q)$(bench_run) --quick

bench-smoke: bench-tools ## does the benchmark itself work? A few requests of each scenario
	$(Q)CXXPROXY_SO=$(abspath $(PLAIN))/mod_cxxproxy.so $(PYTHON) tests/bench/smoke.py

bench-trace: bench-tools ## the system calls of one request in order (S=scenario P=proxy)
	$(Q)CXXPROXY_SO=$(abspath $(PLAIN))/mod_cxxproxy.so $(PYTHON) tests/bench/trace.py $(or $(BENCH_S),small-get) $(or $(P),cxxproxy)

bench-report: ## writes tables and plots into docs/ from the last `make bench`
	$(Q)$(PYTHON) tests/bench/report.py $(O)/bench docs
