# stlua - `make help` lists the targets.
#
# Settings: CC, CFLAGS, LUA, PREFIX, DESTDIR, V=1 (show commands), WERROR=1,
#           SAN=address,undefined or SAN=thread (sanitizers), FAULTS=1 (fault injection, for tests),
#           FUZZ_SECONDS (per target), BENCH_RUNS, BENCH_DIR, BENCH_ONLY, BENCH_PEERS (see tests/bench/bench.py).
# Each combination of CC, SAN and FAULTS has its own objects under .build/.

CC      ?= cc
SAN     ?=
FAULTS  ?=
CFLAGS  ?= $(if $(SAN),-O1,-O3) -g
PREFIX  ?= /usr/local
DESTDIR ?=
LUA     ?= $(firstword $(foreach l,lua5.4 lua54 lua,$(if $(shell command -v $l),$l)) lua5.4)
PKG_CONFIG   ?= pkg-config
FUZZ_SECONDS ?= 60

# Where `make install` puts things; the program finds them from its own place, plain Lua in its standard path.
BINDIR    ?= $(PREFIX)/bin
LIBDIR    ?= $(PREFIX)/lib
LUADIR    ?= $(PREFIX)/share/lua/5.4
LUALIBDIR ?= $(PREFIX)/lib/lua/5.4
DATADIR   ?= $(PREFIX)/share

WARN := -Wall -Wextra -Wshadow -Wconversion -Wno-sign-conversion -Wstrict-prototypes -Wmissing-prototypes \
        -Wpointer-arith -Wundef -Wvla -Wformat=2 $(if $(WERROR),-Werror)

comma  := ,
CONFIG := $(notdir $(CC))$(if $(SAN),-$(subst $(comma),-,$(SAN)))$(if $(FAULTS),-faults)
B      := .build/$(CONFIG)

# Exact arithmetic: no contraction to FMA, no -ffast-math, everywhere.
STD   := -std=c11 -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -fPIC -fvisibility=hidden -pthread \
         -ffp-contract=off -fno-math-errno
DEFS  := -Isrc $(if $(FAULTS),-DST_FAULTS)
SANFL := $(if $(SAN),-fsanitize=$(SAN) -fno-omit-frame-pointer -fno-sanitize-recover=undefined)
ALL_CFLAGS = $(STD) $(WARN) $(DEFS) $(CFLAGS) $(SANFL)

# Headers of a layer are found by name alone; `make lint` checks that includes only go down.
INC_core  := -Isrc/core
INC_kern  := $(INC_core) -Isrc/kern
INC_io    := $(INC_kern) -Isrc/io
INC_exec  := $(INC_kern) -Isrc/exec
INC_model := $(INC_exec) -Isrc/io -Isrc/model
INC_bind  := -Isrc/bind
INC_cli   := -Isrc/cli -DSTLUA_PREFIX='"$(PREFIX)"'
INC_tests := $(INC_model) -Itests/c

# Asked of pkg-config when first used: the recipes that need them run after the check for missing packages.
once = $(eval $1 := $2)$($1)
LUA_PC     = $(call once,LUA_PC,$(firstword \
   $(foreach p,lua5.4 lua54 lua-5.4 lua,$(shell $(PKG_CONFIG) --exists $p && echo $p))))
PKG_CFLAGS = $(call once,PKG_CFLAGS,$(shell $(PKG_CONFIG) --cflags \
   $(LUA_PC) libcjson sleef libxxhash libcrypto libedit))
LIB_LIBS   = $(call once,LIB_LIBS,-Wl$(comma)--as-needed $(shell $(PKG_CONFIG) --libs sleef libxxhash) -ldl -lm)
LUA_LIBS   = $(call once,LUA_LIBS,$(shell $(PKG_CONFIG) --libs $(LUA_PC)))
EDIT_LIBS  = $(call once,EDIT_LIBS,$(shell $(PKG_CONFIG) --libs libedit))
JSON_LIBS  = $(call once,JSON_LIBS,$(shell $(PKG_CONFIG) --libs libcjson))
CMOCKA     = $(call once,CMOCKA,$(shell $(PKG_CONFIG) --cflags --libs cmocka))

# src/kern/level_*.c are compiled once per SIMD level. Nobody looks at exception flags: without them loops with a float
# operation on one side of a choice vectorise; values are the same.
ARCH := $(shell $(CC) -dumpmachine 2>/dev/null | cut -d- -f1)
LEVELS := baseline $(if $(filter x86_64,$(ARCH)),avx2 avx512)
LEVEL_baseline :=
LEVEL_avx2     := -mavx2 -mf16c -mfma
LEVEL_avx512   := -mavx2 -mf16c -mfma -mavx512f -mavx512bw -mavx512dq -mavx512vl -mprefer-vector-width=512

LAYERS  := core kern io exec model
LEVEL_C := $(wildcard src/kern/level_*.c)
LIB_C   := $(filter-out $(LEVEL_C),$(foreach l,$(LAYERS),$(wildcard src/$l/*.c)))
LIB_O   := $(LIB_C:src/%.c=$B/%.o) $(foreach l,$(LEVELS),$(LEVEL_C:src/%.c=$B/%.$l.o))
BIND_O  := $(patsubst src/%.c,$B/%.o,$(wildcard src/bind/*.c))
CLI_O   := $(patsubst src/%.c,$B/%.o,$(filter-out src/cli/terminal.c,$(wildcard src/cli/*.c)))
SHARED  := core.so terminal.so
BUILT   := $(addprefix lua/stlua/,$(SHARED) compiled)

Q := $(if $(V),,@)
say = @$(if $(V),:,echo "  $1 $@")
# For the targets that build once the packages are there: a second make, that sees them.
MAKE_AGAIN = $(MAKE) --no-print-directory

.PHONY: all deps demo test lint format bench fuzz conformance goldens docs install uninstall clean help
all: stlua $(BUILT) ## build the program ./stlua and its libraries in lua/stlua

deps: ## install the system packages that building, testing and linting need
	@CC="$(CC)" tests/tools/deps build test lint fuzz

demo: ## install what is missing, build, merge two sample models
	@CC="$(CC)" tests/tools/deps build
	+@$(MAKE_AGAIN) all
	@tests/tools/demo

test: ## install what is missing, build, run every test (SAN=address,undefined or SAN=thread: under sanitizers)
	@CC="$(CC)" tests/tools/deps build test
	+@$(MAKE_AGAIN) run-tests

lint: ## layers, names, texts, warnings as errors, static analysis
	@CC="$(CC)" tests/tools/deps build test lint
	+@$(MAKE_AGAIN) run-lint

format: ## lay the C sources out with clang-format
	git ls-files -z --cached --others --exclude-standard -- '*.c' '*.h' | xargs -0 clang-format -i

bench: ## the table of times and memory against cp, PyTorch, mergekit and sd-mecha
	@CC="$(CC)" tests/tools/deps build python
	+@$(MAKE_AGAIN) all $(addprefix .build/bench/,make_model measure matmul_speed)
	@tests/bench/run

fuzz: ## run each fuzz target for FUZZ_SECONDS (60)
	@tests/tools/deps build fuzz
	+@$(MAKE_AGAIN) CC=clang SAN=fuzzer-no-link,address,undefined run-fuzz

conformance: ## compare with the Python reference, in a virtual environment of its own
	@CC="$(CC)" tests/tools/deps build python
	+@$(MAKE_AGAIN) all $B/header_driver
	@HEADER_DRIVER=$B/header_driver tests/conformance/run

docs: all ## write the reference manual and the stubs for editors from the comments
	@./stlua tests/tools/docs.lua

goldens: all ## rewrite the expected output of tests/cli/cases (read the difference before committing it)
	@GOLDEN_UPDATE=1 STLUA_TREE="$(CURDIR)" prove -v tests/cli/goldens.t

# ---------------------------------------------------------------- objects, libraries, program

# Missing packages are named before the first compilation; `make clean` forgets that all were there.
.build/deps:
	@CC="$(CC)" tests/tools/deps --check build
	@mkdir -p $(@D) && touch $@

define layer_rule
$B/$1/%.o: src/$1/%.c | .build/deps
	@mkdir -p $$(@D)
	@$$(if $$(V),:,echo "  CC $$<")
	$$Q$$(CC) $$(ALL_CFLAGS) $$(PKG_CFLAGS) $$(INC_$1) -MMD -MP -c -o $$@ $$<
endef
$(foreach l,$(LAYERS) bind cli,$(eval $(call layer_rule,$l)))

# Where the program looks when nothing lies beside it.
$B/cli/cli_paths.o: DEFS += -DSTLUA_PREFIX='"$(PREFIX)"'

define level_rule
$B/kern/%.$1.o: src/kern/%.c | .build/deps
	@mkdir -p $$(@D)
	@$$(if $$(V),:,echo "  CC $$< ($1)")
	$$Q$$(CC) $$(ALL_CFLAGS) $$(PKG_CFLAGS) $$(INC_kern) -fno-trapping-math $$(LEVEL_$1) \
	   -DST_LEVEL=$1 -DST_LEVEL_$1=1 -MMD -MP -c -o $$@ $$<
endef
$(foreach l,$(LEVELS),$(eval $(call level_rule,$l)))

-include $(shell find $B -name "*.d" 2>/dev/null)

$B/libst.a: $(LIB_O)
	$(call say,AR)
	@rm -f $@
	$Q$(AR) rcs $@ $^

$B/libst.so: $(LIB_O)
	$(call say,LD)
	$Q$(CC) $(ALL_CFLAGS) -shared -Wl,-soname,libst.so.0 -o $@ $^ $(LIB_LIBS)

# The module exports its opener alone: another copy of libst in the process is none of its business.
$B/core.so: $(BIND_O) $B/libst.a
	$(call say,LD)
	$Q$(CC) $(ALL_CFLAGS) -shared -Wl,--exclude-libs,ALL -o $@ $^ $(LIB_LIBS) $(JSON_LIBS)

$B/stlua: $(CLI_O)
	$(call say,LD)
	$Q$(CC) $(ALL_CFLAGS) -rdynamic -o $@ $^ $(LUA_LIBS)

# The prompt; it calls the program that loads it, which -z now makes sure of. It stays, as its editor does.
$B/terminal.so: $B/cli/terminal.o
	$(call say,LD)
	$Q$(CC) $(ALL_CFLAGS) -shared -Wl,-z,now,-z,nodelete -o $@ $^ $(EDIT_LIBS)

$(SHARED:%=lua/stlua/%): lua/stlua/%: $B/%
	@cp $< $@.tmp && mv $@.tmp $@
stlua: $B/stlua
	@cp $< $@.tmp && mv $@.tmp $@

# The modules compiled, for a faster start: src/cli/cli_compiled.c.
MODULES := $(filter-out %.d.lua,$(shell cd lua && find stlua -name '*.lua' | LC_ALL=C sort))
compile = ./stlua src/cli/compile.lua
lua/stlua/compiled: src/cli/compile.lua $(MODULES:%=lua/%) stlua | lua/stlua/core.so
	$(call say,LUA)
	$Q$(compile) $@.tmp "$(CURDIR)/lua" "$(CURDIR)/lua" $(MODULES) && mv $@.tmp $@ || \
	   echo "  $@: not made; the program compiles its modules when it starts"

# ---------------------------------------------------------------- tests

TEST_C    := $(wildcard tests/c/test_*.c)
TEST_AUX  := $(filter-out $(TEST_C),$(wildcard tests/c/*.c))
TEST_BIN  := $(TEST_C:tests/c/%.c=$B/tests/%)
FUZZ_C    := $(wildcard tests/fuzz/fuzz_*.c)
REPLAY    := $(FUZZ_C:tests/fuzz/fuzz_%.c=$B/tests/replay_%)
FUZZ_BIN  := $(FUZZ_C:tests/fuzz/%.c=$B/%)

$B/tests/%: tests/c/%.c $(TEST_AUX) $B/libst.a
	@mkdir -p $(@D)
	$(call say,CC)
	$Q$(CC) $(ALL_CFLAGS) $(INC_tests) $(PKG_CFLAGS) -MMD -MP -MF $@.d -o $@ $< $(TEST_AUX) $(WITH_BIND) $B/libst.a \
	   $(CMOCKA) $(LIB_LIBS) $(if $(WITH_BIND),$(LUA_LIBS) $(JSON_LIBS))

# A terminal for tests of the prompt.
$B/tests/pty: tests/cli/pty.c
	@mkdir -p $(@D)
	$(call say,CC)
	$Q$(CC) $(ALL_CFLAGS) -o $@ $<

# Tests of the binding hold it, and Lua.
TEST_BIND := $(filter $B/tests/test_bind_%,$(TEST_BIN))
$(TEST_BIND): WITH_BIND := $(BIND_O)
$(TEST_BIND): $(BIND_O)

# A fuzz target over its corpus, without a fuzzer: one test per file.
$B/tests/replay_%: tests/fuzz/fuzz_%.c tests/fuzz/replay.c $B/libst.a
	@mkdir -p $(@D)
	$(call say,CC)
	$Q$(CC) $(ALL_CFLAGS) $(INC_tests) -o $@ $^ $(LIB_LIBS)

$B/header_driver: tests/conformance/header_driver.c $B/libst.a
	$(call say,CC)
	$Q$(CC) $(ALL_CFLAGS) -o $@ $^ $(LIB_LIBS)

$B/plainlua: tests/lua/plainlua.c | .build/deps
	@mkdir -p $(@D)
	$(call say,CC)
	$Q$(CC) $(ALL_CFLAGS) $(PKG_CFLAGS) -rdynamic -o $@ $< $(LUA_LIBS)

# What ./stlua is in the repository, for a configuration that must not replace it.
.PHONY: tree test-programs run-tests run-lint run-fuzz
tree: $B/stlua $(SHARED:%=$B/%) $B/plainlua
	@rm -rf $B/tree && mkdir -p $B/tree
	@cp -R lua scripts $B/tree && cp $B/stlua $B/tree && cp $(SHARED:%=$B/%) $B/tree/lua/stlua

test-programs: $(TEST_BIN) $(REPLAY) $B/tests/pty

# The C tests need fault injection. Under a sanitizer the program is of the same build; without, it is what users get.
run-tests:
	+@$(MAKE_AGAIN) FAULTS=1 test-programs $(if $(SAN),tree)
	$(if $(SAN),,+@$(MAKE_AGAIN) -s all)
	@LUA="$(if $(SAN),$B-faults/plainlua,$(LUA))" SAN="$(SAN)" \
	   STLUA_TREE="$(CURDIR)$(if $(SAN),/$B-faults/tree)" tests/run $B-faults/tests

# The same answers when every operation is computed at once.
EAGER_TESTS := $(addprefix tests/lua/test_,$(addsuffix .lua,map model ops elementwise reduce linalg assign index hist \
   examples)) tests/cli/goldens.t
.PHONY: test-eager
test-eager: all
	@STLUA_EAGER=1 LUA="$(LUA)" STLUA_TREE="$(CURDIR)" tests/run $B-faults/tests $(EAGER_TESTS)

run-lint: all
	@CC="$(CC)" MAKE="$(MAKE_AGAIN)" tests/tools/lint

$(FUZZ_BIN): $B/%: tests/fuzz/%.c $B/libst.a
	$(call say,CC)
	$Q$(CC) $(ALL_CFLAGS) $(INC_tests) -fsanitize=fuzzer,address,undefined -o $@ $^ $(LIB_LIBS)

run-fuzz: $(FUZZ_BIN)
	@tests/fuzz/run $(FUZZ_SECONDS) $(FUZZ_BIN)

# ---------------------------------------------------------------- benchmarks

.build/bench/kern_speed .build/bench/matmul_speed: .build/bench/%: tests/bench/%.c $B/libst.a
	@mkdir -p $(@D)
	$(call say,CC)
	$Q$(CC) $(ALL_CFLAGS) $(INC_kern) -Itests/c -o $@ $^ $(LIB_LIBS)

.build/bench/%: tests/bench/%.c
	@mkdir -p $(@D)
	$(call say,CC)
	$Q$(CC) $(STD) $(WARN) -O3 -o $@ $< -lm

# ---------------------------------------------------------------- installation

COMPLETIONS := bash-completion/completions/stlua zsh/site-functions/_stlua fish/vendor_completions.d/stlua.fish
MAN1        := $(wildcard src/cli/stlua.1)
D            = $(DESTDIR)

# The modules lie where plain Lua looks, too; the program finds them and its scripts from its own place.
install: all $B/libst.a $B/libst.so ## install under PREFIX (/usr/local), DESTDIR before it
	install -d $D$(BINDIR) $D$(PREFIX)/include $D$(LIBDIR) $D$(LUALIBDIR)/stlua $D$(DATADIR)/stlua $D$(LUADIR)
	install -m 755 stlua $D$(BINDIR)/stlua
	install -m 755 $(SHARED:%=lua/stlua/%) $D$(LUALIBDIR)/stlua
	find scripts -type f -exec install -D -m 644 '{}' '$D$(DATADIR)/stlua/{}' ';'
	cd lua && find . -name '*.lua' -exec install -D -m 644 '{}' '$D$(LUADIR)/{}' ';'
	$(compile) $B/compiled lua '$(LUADIR)' $(MODULES)
	install -m 644 $B/compiled $D$(LUALIBDIR)/stlua/compiled
	install -m 644 src/st.h $D$(PREFIX)/include/st.h
	install -m 644 $B/libst.a $D$(LIBDIR)/libst.a
	install -m 755 $B/libst.so $D$(LIBDIR)/libst.so.0
	ln -sf libst.so.0 $D$(LIBDIR)/libst.so
	for file in $(COMPLETIONS); do install -d $D$(DATADIR)/$${file%/*} && \
	   ./stlua completion $${file%%[-/]*} >$D$(DATADIR)/$$file || exit 1; done
	$(foreach m,$(MAN1),install -D -m 644 $m $D$(DATADIR)/man/man1/$(notdir $m))

uninstall: ## remove what install put there
	rm -f $D$(BINDIR)/stlua $D$(PREFIX)/include/st.h $D$(LIBDIR)/libst.a $D$(LIBDIR)/libst.so.0 $D$(LIBDIR)/libst.so
	rm -f $(COMPLETIONS:%=$D$(DATADIR)/%) $(MAN1:src/cli/%=$D$(DATADIR)/man/man1/%)
	rm -rf $D$(LUADIR)/stlua $D$(LUALIBDIR)/stlua $D$(LIBDIR)/stlua $D$(DATADIR)/stlua

clean: ## remove what was built
	rm -rf .build stlua $(BUILT)

help: ## this list
	@sed -nE 's/^([a-z-]+):.*## (.*)/  make \1\t\2/p' Makefile | expand -t 20
