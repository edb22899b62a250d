# stlua - `make help` lists the targets.
#
# Settings: CC, CFLAGS, LUA, PREFIX, V=1 (show commands), WERROR=1,
#           SAN=address,undefined or SAN=thread (sanitizers), FAULTS=1 (fault injection, for tests).
# Each combination has its own objects under .build/.

CC      ?= cc
CFLAGS  ?= -O3 -g
PREFIX  ?= /usr/local
LUA     ?= lua5.4
SAN     ?=
FAULTS  ?=
BENCH   ?=

PKGS      := lua5.4 libcjson libzstd openblas sleef libcrypto libxxhash
PKG_CONFIG ?= pkg-config

WARN := -Wall -Wextra -Wshadow -Wconversion -Wno-sign-conversion -Wstrict-prototypes -Wmissing-prototypes \
        -Wpointer-arith -Wundef -Wvla -Wformat=2
ifdef WERROR
WARN += -Werror
endif

comma := ,
CONFIG := $(notdir $(CC))$(if $(SAN),-$(subst $(comma),-,$(SAN)))$(if $(FAULTS),-faults)
B := .build/$(CONFIG)

# Exact arithmetic: no contraction to FMA, no -ffast-math, everywhere.
STD   := -std=c11 -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -fPIC -fvisibility=hidden -pthread -ffp-contract=off -fno-math-errno
DEFS  := -Isrc $(if $(FAULTS),-DST_FAULTS)
SANFL := $(if $(SAN),-fsanitize=$(SAN) -fno-omit-frame-pointer -fno-sanitize-recover=all)
ALL_CFLAGS = $(STD) $(WARN) $(DEFS) $(CFLAGS) $(SANFL)

# Headers of a layer are found by name alone; `make lint` checks that includes only go down.
INC_core  := -Isrc/core
INC_kern  := $(INC_core) -Isrc/kern
INC_io    := $(INC_core) -Isrc/io
INC_exec  := $(INC_kern) -Isrc/exec
INC_model := $(INC_exec) -Isrc/io -Isrc/model
INC_bind  := -Isrc/bind
INC_cli   := -Isrc/cli

PKG_CFLAGS = $(shell $(PKG_CONFIG) --cflags $(PKGS) 2>/dev/null)
LIB_LIBS   = $(shell $(PKG_CONFIG) --libs sleef libxxhash libcrypto) -lm
LUA_LIBS   = $(shell $(PKG_CONFIG) --libs lua5.4)
JSON_LIBS  = $(shell $(PKG_CONFIG) --libs libcjson)

# src/kern/level_*.c are compiled once per SIMD level.
ARCH := $(shell $(CC) -dumpmachine 2>/dev/null | cut -d- -f1)
LEVELS := baseline
ifeq ($(ARCH),x86_64)
LEVELS += avx2 avx512
endif
LEVEL_baseline :=
LEVEL_avx2     := -mavx2 -mf16c
LEVEL_avx512   := -mavx2 -mf16c -mavx512f -mavx512bw -mavx512dq -mavx512vl -mprefer-vector-width=512

LAYERS  := core kern io exec model
LEVEL_C := $(wildcard src/kern/level_*.c)
LIB_C   := $(filter-out $(LEVEL_C),$(foreach l,$(LAYERS),$(wildcard src/$l/*.c)))
LIB_O   := $(LIB_C:src/%.c=$B/%.o) $(foreach l,$(LEVELS),$(LEVEL_C:src/%.c=$B/%.$l.o))
BIND_O  := $(patsubst src/%.c,$B/%.o,$(wildcard src/bind/*.c))
CLI_O   := $(patsubst src/%.c,$B/%.o,$(wildcard src/cli/*.c))

Q := $(if $(V),,@)

.PHONY: all clean help
all: stlua lua/stlua/core.so ## build the program ./stlua and lua/stlua/core.so

$B/libst.a: $(LIB_O)
	@rm -f $@
	$Q$(AR) rcs $@ $^

$B/libst.so: $(LIB_O)
	$Q$(CC) $(ALL_CFLAGS) -shared -Wl,-soname,libst.so.0 -o $@ $^ $(LIB_LIBS)

$B/core.so: $(BIND_O) $B/libst.a
	$Q$(CC) $(ALL_CFLAGS) -shared -o $@ $(BIND_O) $B/libst.a $(LIB_LIBS) $(JSON_LIBS)

$B/stlua: $(CLI_O)
	$Q$(CC) $(ALL_CFLAGS) -rdynamic -o $@ $^ $(LUA_LIBS)

lua/stlua/core.so: $B/core.so
	@cp $< $@.tmp && mv $@.tmp $@
stlua: $B/stlua
	@cp $< $@.tmp && mv $@.tmp $@

define layer_rule
$B/$1/%.o: src/$1/%.c
	@mkdir -p $$(@D)
	@$$(if $$(V),,echo "  CC $$<")
	$$Q$$(CC) $$(ALL_CFLAGS) $$(PKG_CFLAGS) $$(INC_$1) -MMD -MP -c -o $$@ $$<
endef
$(foreach l,$(LAYERS) bind cli,$(eval $(call layer_rule,$l)))

define level_rule
$B/kern/%.$1.o: src/kern/%.c
	@mkdir -p $$(@D)
	@$$(if $$(V),,echo "  CC $$< ($1)")
	$$Q$$(CC) $$(ALL_CFLAGS) $$(PKG_CFLAGS) $$(INC_kern) $$(LEVEL_$1) -DST_LEVEL=$1 -DST_LEVEL_$1=1 -MMD -MP -c -o $$@ $$<
endef
$(foreach l,$(LEVELS),$(eval $(call level_rule,$l)))

-include $(shell find $B -name "*.d" 2>/dev/null)

clean: ## remove what was built
	rm -rf .build stlua lua/stlua/core.so

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 20
