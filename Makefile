# mod_cxxproxy: a reverse proxy and load balancer for Apache httpd 2.4.
#
# `make help` lists the targets. Everything that is built goes below $(O), build/ by default.
# Knobs: O=dir  CXX=g++  CLANGXX=clang++  WERROR=  ROOMS="base http"  ARGS="..."  V=1  DESTDIR=dir

.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules

O ?= build
CLANGXX ?= clang++
ifeq ($(origin CXX),default)
CXX := g++
endif
APXS ?= apxs
APR_CONFIG ?= apr-1-config
APU_CONFIG ?= apu-1-config
# Debian's own Python: the one that python3-flask and python3-pytest were installed for.
PYTHON ?= /usr/bin/python3
V ?= 0
ifeq ($(V),0)
Q := @
endif

# One job per processor unless the caller chose a number.
ifeq ($(MAKELEVEL),0)
ifeq ($(filter -j%,$(MAKEFLAGS)),)
MAKEFLAGS += -j$(shell nproc 2>/dev/null || echo 2)
endif
endif

# --- flags ------------------------------------------------------------------------------------

apxs_q = $(shell $(APXS) -q $(1) 2>/dev/null)
HTTPD_INCLUDEDIR := $(call apxs_q,INCLUDEDIR)
APR_INCLUDES := $(patsubst -I%,-isystem %,$(sort $(filter-out -I/usr/include,$(shell $(APR_CONFIG) --includes 2>/dev/null; $(APU_CONFIG) --includes 2>/dev/null))))
APR_CPPFLAGS := $(shell $(APR_CONFIG) --cppflags 2>/dev/null)
APR_LIBS := $(shell $(APU_CONFIG) --link-ld 2>/dev/null) $(shell $(APR_CONFIG) --link-ld 2>/dev/null)
HTTPD_INCLUDES = -isystem $(HTTPD_INCLUDEDIR)

WERROR ?= -Werror
WARNINGS := -Wall -Wextra -Wpedantic -Wconversion $(WERROR)
OPTIMISE ?= -O2 -g
# dpkg-buildpackage hands its own CXXFLAGS, CPPFLAGS and LDFLAGS; they come last.
BASE_FLAGS := -std=c++20 -fPIC -fvisibility=hidden -fno-semantic-interposition -fno-plt -pthread $(WARNINGS) \
  -Wformat -Werror=format-security -fstack-protector-strong -fstack-clash-protection -Isrc
ifneq ($(filter x86_64%,$(shell uname -m)),)
BASE_FLAGS += -fcf-protection
endif
PLAIN_FLAGS := $(OPTIMISE) $(if $(findstring _FORTIFY_SOURCE,$(CPPFLAGS)),,-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2)
# This build looks for warnings and is not meant to be fast.
CLANG_FLAGS := -O0
ASAN_FLAGS := -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
TSAN_FLAGS := -O1 -g1 -fsanitize=thread -fno-omit-frame-pointer
FUZZ_FLAGS := -O1 -g -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
# g++ 12 takes the empty side of a std::optional for an uninitialised value (and sees ghosts in
# libstdc++'s <regex> under ASan). clang++ and valgrind look for the real ones.
# A unique symbol keeps dlclose() from unloading the module: a restart would go on with the old one.
GXX_FLAGS := $(if $(findstring clang,$(CXX)),,-Wno-maybe-uninitialized -fno-gnu-unique)
MODULE_LDFLAGS := -shared -Wl,-z,relro -Wl,-z,now -Wl,--as-needed

# --- sources ----------------------------------------------------------------------------------

# P rooms are pure C++; A rooms may use APR; the H room sees httpd (docs/ARCHITECTURE.md). ROOMS
# narrows a unit or fuzz build to some rooms, for work on one while another does not compile.
P_ROOMS := base http config balancer codec upstream exchange
A_ROOMS := net
ROOMS ?= $(P_ROOMS) $(A_ROOMS)
cpp_below = $(sort $(if $(wildcard $(1)),$(shell find $(wildcard $(1)) -name '*.cpp')))

P_SRCS := $(call cpp_below,$(patsubst %,src/%,$(filter $(ROOMS),$(P_ROOMS))))
A_SRCS := $(call cpp_below,$(patsubst %,src/%,$(filter $(ROOMS),$(A_ROOMS))))
COMPAT_SRCS := src/httpd/compat/mod_cxxproxy_compat.cpp
H_SRCS := mod_cxxproxy.cpp $(filter-out $(COMPAT_SRCS),$(call cpp_below,src/httpd))
UNIT_SRCS := $(wildcard tests/unit/main.cpp) \
  $(filter %_test.cpp,$(call cpp_below,$(patsubst %,tests/unit/%,$(ROOMS)))) $(call cpp_below,tests/support)
FUZZ_NAMES := $(sort $(patsubst tests/fuzz/fuzz_%.cpp,%,$(wildcard tests/fuzz/fuzz_*.cpp)))

include tests/make/variants.mk
include tests/make/targets.mk
include tests/make/bench.mk
include tests/make/install.mk
