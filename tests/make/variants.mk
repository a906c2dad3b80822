# One set of rules per way of compiling: plain (the product), asan, tsan, clang, fuzz.
#
# $(call variant,NAME,DIR,COMPILER,FLAGS) makes the object rules DIR/obj/%.o and the rules for
# DIR/mod_cxxproxy.so, DIR/mod_cxxproxy_compat.so and DIR/unit_tests. A room gets only the include
# paths of its kind, so a pure room that includes APR does not compile.

objs = $(patsubst %.cpp,$(1)/obj/%.o,$(2))
pure_flags =
apr_flags = $(APR_CPPFLAGS) $(APR_INCLUDES)
httpd_flags = $(apr_flags) $(HTTPD_INCLUDES)
say = @printf '  %-5s %s\n' '$(1)' '$(2)'

comma := ,
# ThreadSanitizer looks at what threads share; http and config are values of one thread.
THREADED_ROOMS := base balancer upstream exchange net
unit_srcs = $(if $(filter tsan,$(1)),$(filter-out $(patsubst %,tests/unit/%/%,$(filter-out $(THREADED_ROOMS),$(P_ROOMS))),$(UNIT_SRCS)),$(UNIT_SRCS))

define variant
$(2)/obj/%.o: KIND_FLAGS = $$(pure_flags)
$(2)/obj/src/net/%.o: KIND_FLAGS = $$(apr_flags)
$(2)/obj/tests/unit/net/%.o: KIND_FLAGS = $$(apr_flags)
$(2)/obj/src/httpd/%.o: KIND_FLAGS = $$(httpd_flags)
$(2)/obj/mod_cxxproxy.o: KIND_FLAGS = $$(httpd_flags)
$(2)/obj/tests/%.o: TEST_FLAGS = -Itests $(if $(filter clang,$(1)),,-O1) -g1
$(2)/obj/tests/fuzz/%.o: TEST_FLAGS = -Itests
# Nobody waits for what only compares: half the time to compile. A test's own wild pointers are ASan's to find.
unit_flags_$(1) := -Itests -O0 -g1 -U_FORTIFY_SOURCE $(if $(filter asan,$(1)),-fno-sanitize=null$(comma)alignment$(comma)vptr$(comma)object-size)
$(2)/obj/tests/unit/%.o: TEST_FLAGS = $$(unit_flags_$(1))
# Catch2's own code: large, and nobody waits for it.
$(2)/obj/tests/unit/main.o: TEST_FLAGS = -O0 -U_FORTIFY_SOURCE
# What every test includes, Catch2 above all, is read once for each way of compiling (with g++, whose rules for that are simple).
UNIT_OBJS_$(1) := $$(if $$(findstring clang,$$(CXX)),,$$(call objs,$(2),$(filter-out %/main.cpp,$(filter tests/unit/%,$(call unit_srcs,$(1))))))
$$(UNIT_OBJS_$(1)): $(2)/obj/tests/unit/common.h.gch
$$(UNIT_OBJS_$(1)): KIND_FLAGS += -include $(2)/obj/tests/unit/common.h
$(2)/obj/tests/unit/common.h.gch: tests/unit/common.h $$(MAKEFILE_DEPS)
	$$(call say,$(1),$$<)
	@mkdir -p $$(@D)
	@cp $$< $(2)/obj/tests/unit/common.h
	$$(Q)$(3) $$(BASE_FLAGS) $(4) $$(unit_flags_$(1)) $$(CPPFLAGS) $$(CXXFLAGS) -x c++-header -o $$@ $$<

$(2)/obj/%.o: %.cpp $$(MAKEFILE_DEPS) | $$(if $$(findstring /httpd/,$$*)$$(filter mod_cxxproxy,$$*),have-httpd)
	$$(call say,$(1),$$<)
	@mkdir -p $$(@D)
	$$(Q)$(3) $$(BASE_FLAGS) $(4) $$(TEST_FLAGS) $$(KIND_FLAGS) $$(CPPFLAGS) $$(CXXFLAGS) -MMD -MP -c -o $$@ $$<

$(2)/mod_cxxproxy.so: $$(call objs,$(2),$$(H_SRCS) $$(A_SRCS) $$(P_SRCS)) src/httpd/exports.map
	$$(call say,link,$$@)
	$$(Q)$(3) $(4) $$(MODULE_LDFLAGS) -Wl,--version-script=src/httpd/exports.map -o $$@ $$(filter %.o,$$^) $$(LDFLAGS)

$(2)/mod_cxxproxy_compat.so: $$(call objs,$(2),$$(COMPAT_SRCS)) src/httpd/compat/exports.map
	$$(call say,link,$$@)
	$$(Q)$(3) $(4) $$(MODULE_LDFLAGS) -Wl,--version-script=src/httpd/compat/exports.map -o $$@ $$(filter %.o,$$^) $$(LDFLAGS)

$(2)/unit_tests: $$(call objs,$(2),$(call unit_srcs,$(1)) $$(A_SRCS) $$(P_SRCS))
	$$(call say,link,$$@)
	$$(Q)$(3) $(4) -pthread -o $$@ $$^ $$(LDFLAGS) $$(if $$(A_SRCS),$$(APR_LIBS))
endef

# Objects are rebuilt when the flags, which are in the Makefile, can have changed.
MAKEFILE_DEPS := Makefile

PLAIN := $(O)
ASAN := $(O)/asan
TSAN := $(O)/tsan
CLANG := $(O)/clang
FUZZ := $(O)/fuzz

$(eval $(call variant,cxx,$(PLAIN),$$(CXX),$$(PLAIN_FLAGS) $$(GXX_FLAGS)))
$(eval $(call variant,asan,$(ASAN),$$(CXX),$$(ASAN_FLAGS) $$(GXX_FLAGS)))
$(eval $(call variant,tsan,$(TSAN),$$(CXX),$$(TSAN_FLAGS) $$(GXX_FLAGS)))
$(eval $(call variant,clang,$(CLANG),$$(CLANGXX),$$(CLANG_FLAGS)))
$(eval $(call variant,fuzz,$(FUZZ),$$(CLANGXX),$$(FUZZ_FLAGS)))

# A fuzz target twice: a replayer for `make check` (g++, no libFuzzer) and the real fuzzer.
FUZZ_REPLAYERS := $(FUZZ_NAMES:%=$(ASAN)/replay_%)
$(FUZZ_REPLAYERS): $(ASAN)/replay_%: $(ASAN)/obj/tests/fuzz/fuzz_%.o $(call objs,$(ASAN),tests/fuzz/replay_main.cpp $(P_SRCS))
	$(call say,link,$@)
	$(Q)$(CXX) $(ASAN_FLAGS) -pthread -o $@ $^ $(LDFLAGS)

FUZZERS := $(FUZZ_NAMES:%=$(FUZZ)/fuzz_%)
$(FUZZERS): $(FUZZ)/fuzz_%: $(FUZZ)/obj/tests/fuzz/fuzz_%.o $(call objs,$(FUZZ),$(P_SRCS))
	$(call say,link,$@)
	$(Q)$(CLANGXX) $(FUZZ_FLAGS) -fsanitize=fuzzer -pthread -o $@ $^ $(LDFLAGS)

# The directive reference is written by a program that reads the option rows.
$(O)/gen_directives: $(call objs,$(PLAIN),tests/tools/gen_directives.cpp $(P_SRCS))
	$(call say,link,$@)
	$(Q)$(CXX) $(PLAIN_FLAGS) -pthread -o $@ $^ $(LDFLAGS)

.PHONY: have-httpd
have-httpd:
	@test -r "$(HTTPD_INCLUDEDIR)/httpd.h" || { echo "httpd's headers are missing: install the package apache2-dev (apxs, apr-1-config)" >&2; exit 1; }

-include $(shell test -d $(O) && find $(O) -name '*.d' -path '*/obj/*')
