# kakehi: build, demo, check. `make help` says what there is.
# Everything built goes to build/<variant>: release (what is installed), asan (unit tests), fuzz (clang, libFuzzer).

VARIANT ?= release
PREFIX  ?= /usr/local
DESTDIR ?=
SECONDS ?= 120
SEED    ?= 1
BROKER  ?= embedded
DATABASE ?= mariadb
WAREHOUSE ?= sqlite
DOCS ?= docs

out := build/$(VARIANT)

CC_release    := gcc
CC_asan       := gcc
CC_tsan       := gcc
CC_clang      := clang
CC_fuzz       := clang
FLAGS_release := -O2
FLAGS_asan    := -O1 -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
FLAGS_tsan    := -O1 -fsanitize=thread -fno-omit-frame-pointer
FLAGS_clang   := -O2
FLAGS_fuzz    := -O1 -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer

CC     := $(CC_$(VARIANT))
WARN   := -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wformat=2 -Wno-format-nonliteral
CFLAGS ?= -g
version = $(shell git describe --always --dirty 2>/dev/null || echo unknown)

libraries := rdkafka libmariadb libuv sqlite3 jansson yaml-0.1 libmicrohttpd libcrypto libssl libcurl libnghttp2 libzstd zlib libdeflate
# Lazy: on a new machine pkg-config comes only with `need build`.
pkg_cflags = $(eval pkg_cflags := $$(shell pkg-config --cflags $(libraries)))$(pkg_cflags)
pkg_libs   = $(eval pkg_libs := $$(shell pkg-config --libs $(libraries)))$(pkg_libs)
compile    = $(CC) -std=gnu11 -D_GNU_SOURCE $(WARN) $(CFLAGS) $(FLAGS_$(VARIANT)) -I. $(pkg_cflags) -MMD -MP
# The worker's allocator; sanitizers bring their own. Nothing names it, so the linker is told to keep it.
allocator_release := -Wl,--no-as-needed -ljemalloc -Wl,--as-needed
link       = $(CC) $(CFLAGS) $(FLAGS_$(VARIANT)) $(LDFLAGS)

mains    := producer/main.c workers/main.c
common   := $(wildcard common/*.c)
schemas  := $(wildcard schemas/*.c)
producer := $(filter-out $(mains),$(wildcard producer/*.c producer/*/*.c))
workers  := $(filter-out $(mains),$(wildcard workers/*.c workers/*/*.c))
objects   = $(patsubst %.c,$(out)/%.o,$(1))

programs   := $(out)/kakehi-producer $(out)/kakehi-worker
unit_tests := $(patsubst tests/unit/%.c,$(out)/unit/%,$(wildcard tests/unit/*_test.c))
fuzzers    := $(patsubst tests/fuzz/%.c,$(out)/fuzz/%,$(wildcard tests/fuzz/*_fuzz.c))
# Stand in for a module of the product, or of libc: linked only where a line below says so.
stand_ins  := tests/unit/rest_world.c tests/unit/c11_threads.c
unit_help  := $(filter-out $(wildcard tests/unit/*_test.c) $(stand_ins),$(wildcard tests/unit/*.c))

.PHONY: all need objects programs install unit fuzz fuzzers bench demo check lint docs storm model help clean
.DEFAULT_GOAL := all

all: need ## build both programs into build/release (installs missing packages)
	@$(MAKE) --no-print-directory -j$$(nproc) programs
	@echo "built: $(programs)"

need:
	@ops/setup/need build

programs: $(programs)

objects: $(call objects,$(common) $(schemas) $(producer) $(workers) $(wildcard $(mains)))

install: all ## install both programs under $(DESTDIR)$(PREFIX)
	install -d $(DESTDIR)$(PREFIX)/bin
	install -m 755 $(programs) $(DESTDIR)$(PREFIX)/bin/

demo: ## run the whole path on this machine (BROKER=kafka: a real Kafka; WAREHOUSE=bigquery-emulator; KEEP=1: leave it running)
	@ops/demo/run $(BROKER) $(WAREHOUSE) $(KEEP)

.PHONY: demo-programs
demo-programs: programs $(out)/kakehi-demo-broker

check: ## the tests; THOROUGH=1: the long ones too; the last line is "N passed, N failed"
	@tests/check

lint: ## warnings of gcc and clang, clang-tidy, arrows between folders, generated pages
	@ops/setup/need build lint test && tests/lint/run

docs: ## make the pages of docs/ that are made of the code: settings.md, types.md, metrics.md (DOCS=folder: there)
	@ops/setup/need build && $(MAKE) --no-print-directory -j$$(nproc) programs
	@ops/pages $(DOCS)

storm: all ## load with kills at random for SECONDS, by SEED, then the oracle (DATABASE=mysql, WAREHOUSE=bigquery)
	@tests/servers/need && /usr/bin/python3 -B -m pytest -p no:cacheprovider -q -s tests/storm --seconds=$(SECONDS) --seed=$(SEED) --database=$(DATABASE) --warehouse=$(WAREHOUSE)

fuzz: ## each fuzzer on its corpus for SECONDS, as many at once as there are processors
	@ops/setup/need build fuzz && tests/fuzz/run $(SECONDS)

model: ## the protocol models
	@ops/setup/need test && tests/model/run

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1	\2/p' $(MAKEFILE_LIST) | expand -t 20

clean: ## remove build/
	rm -rf build

# ---- how things are made

$(out)/%.o: %.c
	@mkdir -p $(@D)
	$(compile) -c -o $@ $<

$(out)/common/version.o: CFLAGS += -DKAKEHI_VERSION='"$(version)"'
$(out)/common/version.o: $(out)/version
# Touched only when what it says changes.
$(out)/version: FORCE
	@mkdir -p $(@D)
	@echo '$(version)' | cmp -s - $@ || echo '$(version)' >$@
.PHONY: FORCE

define archive
$(out)/lib$(1).a: $(call objects,$($(1)))
	@rm -f $$@
	ar rcs $$@ $$^
endef
$(foreach room,common schemas producer workers unit_help,$(eval $(call archive,$(room))))

$(out)/kakehi-producer: $(out)/producer/main.o $(out)/libproducer.a $(out)/libschemas.a $(out)/libcommon.a
	$(link) -o $@ $^ $(pkg_libs)

$(out)/kakehi-worker: $(out)/workers/main.o $(out)/libworkers.a $(out)/libschemas.a $(out)/libcommon.a
	$(link) -o $@ $^ $(pkg_libs) $(allocator_$(VARIANT))

# librdkafka's mock cluster as a program, for `make demo`.
$(out)/kakehi-demo-broker: $(out)/ops/demo/broker.o
	$(link) -o $@ $^ $$(pkg-config --libs rdkafka)

# Each unit test is a program of its own; it links what it uses out of the archives.
$(out)/unit/%: $(out)/tests/unit/%.o $(out)/libunit_help.a $(out)/libproducer.a $(out)/libworkers.a $(out)/libschemas.a $(out)/libcommon.a
	@mkdir -p $(@D)
	$(link) -o $@ $(filter %.o,$^) $(filter %.a,$^) $(pkg_libs) -lcmocka -lavro

build/tsan/unit/publisher_test build/tsan/unit/consumer_test: build/tsan/tests/unit/c11_threads.o
$(out)/unit/tables_test $(out)/unit/refresh_test $(out)/unit/views_test: $(out)/tests/unit/rest_world.o

unit: ## build the unit tests (VARIANT=asan) and run them
	@$(MAKE) --no-print-directory VARIANT=asan -j$$(nproc) unit-programs
	@tests/unit/run build/asan/unit

.PHONY: unit-programs
unit-programs: $(unit_tests)

$(out)/fuzz/%: $(out)/tests/fuzz/%.o $(out)/libproducer.a $(out)/libworkers.a $(out)/libschemas.a $(out)/libcommon.a
	@mkdir -p $(@D)
	$(link) -fsanitize=fuzzer -o $@ $^ $(pkg_libs)

fuzzers: $(fuzzers)

# Programs that tests run beside ours.
$(out)/test/%: $(out)/tests/programs/%.o $(out)/libworkers.a $(out)/libschemas.a $(out)/libcommon.a
	@mkdir -p $(@D)
	$(link) -o $@ $^ $(pkg_libs)

$(out)/test/%.so: tests/programs/%.c
	@mkdir -p $(@D)
	$(compile) -fPIC -shared -o $@ $<

$(out)/bench/append_sink: $(out)/tests/unit/h2_server.o $(out)/tests/unit/certificate.o
$(out)/bench/%: $(out)/tests/bench/%.o $(out)/libproducer.a $(out)/libworkers.a $(out)/libschemas.a $(out)/libcommon.a
	@mkdir -p $(@D)
	$(link) -o $@ $^ $(pkg_libs)

.PHONY: bench-programs
bench-programs: $(patsubst tests/bench/%.c,$(out)/bench/%,$(wildcard tests/bench/*.c))

bench: ## speed, latency and memory beside what librdkafka and SQLite do alone (BENCH="producer --rounds 5": one of them, its way)
	@ops/setup/need build && tests/servers/need && $(MAKE) --no-print-directory -j$$(nproc) programs bench-programs && tests/bench/run $(BENCH)

.SECONDARY:
-include $(shell find $(out) -name '*.d' 2>/dev/null)
