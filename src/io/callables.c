/* callables.c - the table of names that a pickle would import. Layer: io; may touch nothing.
 *
 * Nothing here is ever called, so the table protects nobody by itself: it decides what is said about a file, and which
 * one is refused unless the user asks for its tensors alone. Of what everybody has (Python, torch, NumPy) only what is
 * known may be called, for no list of the dangers there is ever whole; somebody's program is listed as unknown. */
#include "callables.h"

#include <string.h>

typedef struct names {
    const char *module, *names; /* words */
} names;

static const names known[] = {
    {"collections", "OrderedDict defaultdict Counter deque ChainMap UserDict UserList UserString"},
    {"torch", "Tensor Size device dtype layout Generator strided preserve_format contiguous_format channels_last "
              "BFloat16Storage HalfStorage FloatStorage DoubleStorage LongStorage IntStorage ShortStorage "
              "CharStorage ByteStorage BoolStorage ComplexFloatStorage ComplexDoubleStorage QInt8Storage "
              "QUInt8Storage QInt32Storage bool uint8 int8 uint16 int16 uint32 int32 uint64 int64 float16 half "
              "bfloat16 float32 float float64 double complex32 complex64 cfloat complex128 cdouble float8_e4m3fn "
              "float8_e5m2 float8_e4m3fnuz float8_e5m2fnuz float8_e8m0fnu float4_e2m1fn_x2 qint8 quint8 qint32 "
              "per_tensor_affine per_channel_affine long int short memory_format finfo iinfo BFloat16Tensor HalfTensor "
              "FloatTensor DoubleTensor LongTensor IntTensor ShortTensor CharTensor ByteTensor BoolTensor"},
    {"torch._C", "Generator"},
    {"torch.torch_version", "TorchVersion"},
    {"torch._utils", "_rebuild_tensor _rebuild_tensor_v2 _rebuild_tensor_v3 _rebuild_parameter "
                     "_rebuild_parameter_with_state _rebuild_qtensor _rebuild_sparse_tensor _rebuild_sparse_csr_tensor "
                     "_rebuild_nested_tensor _rebuild_meta_tensor_no_storage _rebuild_wrapper_subclass "
                     "_rebuild_device_tensor_from_numpy _rebuild_device_tensor_from_cpu_tensor _rebuild_xla_tensor"},
    {"torch._tensor", "_rebuild_from_type_v2 _rebuild_from_type"},
    {"torch.tensor", "_rebuild_from_type"},
    {"torch.amp.grad_scaler", "_refresh_per_optimizer_state"},
    {"torch.cuda.amp.grad_scaler", "_refresh_per_optimizer_state"},
    {"torch.nn.backends.thnn", "_get_thnn_function_backend"},
    {"torch.nn.parameter", "Parameter Buffer UninitializedParameter UninitializedBuffer"},
    {"torch.storage", "UntypedStorage TypedStorage _TypedStorage _UntypedStorage"},
    {"torch.serialization", "_get_layout"},
    {"numpy",
     "dtype ndarray generic number bool_ bool int8 int16 int32 int64 uint8 uint16 uint32 uint64 float16 float32 "
     "float64 longdouble complex64 complex128 str_ bytes_ datetime64 timedelta64 matrix recarray record poly1d"},
    {"numpy.core.multiarray", "scalar _reconstruct"},
    {"numpy._core.multiarray", "scalar _reconstruct"},
    {"numpy.core.numeric", "_frombuffer"},
    {"numpy._core.numeric", "_frombuffer"},
    {"numpy.ma.core", "_mareconstruct"},
    {"numpy.matrixlib.defmatrix", "matrix"},
    {"numpy.core.records", "recarray record"},
    {"numpy.rec", "recarray record"},
    {"numpy.random", "__RandomState_ctor"},
    {"numpy.random._pickle", "__randomstate_ctor __bit_generator_ctor __generator_ctor"},
    {"numpy.random.bit_generator", "__pyx_unpickle_SeedSequence"},
    {"_codecs", "encode"},
    {"copyreg", "_reconstructor __newobj__"},
    {"copy_reg", "_reconstructor __newobj__"},
    {"builtins", "set frozenset list dict tuple object int float bool str bytes bytearray complex slice range"},
    {"__builtin__",
     "set frozenset list dict tuple object int float bool str bytes bytearray complex slice unicode long xrange"},
    {"argparse", "Namespace"},
    {"pathlib", "PosixPath WindowsPath Path PurePath PurePosixPath PureWindowsPath"},
    {"pathlib._local", "PosixPath WindowsPath Path PurePath PurePosixPath PureWindowsPath"},
    {"datetime", "datetime date time timedelta timezone"},
    {"time", "struct_time"},
    {"decimal", "Decimal"},
    {"fractions", "Fraction"},
    {"uuid", "UUID SafeUUID"},
    {"ipaddress", "IPv4Address IPv6Address IPv4Network IPv6Network"},
    {"array", "array _array_reconstructor"},
    {"random", "Random"},
    {"re", "_compile"},
    {"io", "BytesIO StringIO"},
    {"_io", "BytesIO StringIO"},
    {"itertools", "count repeat"},
    {"logging", "getLogger Logger RootLogger"},
    {"optparse", "Values"},
    {"configparser", "ConfigParser RawConfigParser SectionProxy"},
    {"string", "Template"},
    {"weakref", "WeakSet"},
    {"_weakrefset", "WeakSet"},
    {"types", "SimpleNamespace MappingProxyType"},
    {"enum", "Enum IntEnum Flag IntFlag StrEnum auto"},
    {"pytorch_lightning.callbacks.model_checkpoint", "ModelCheckpoint"},
    {"pytorch_lightning.utilities.parsing", "AttributeDict"},
    {"lightning.fabric.utilities.data", "AttributeDict"},
    {"lightning_fabric.utilities.data", "AttributeDict"},
    {"omegaconf.dictconfig", "DictConfig"},
    {"omegaconf.listconfig", "ListConfig"},
    {"omegaconf.base", "ContainerMetadata Metadata"},
    {"omegaconf.nodes", "AnyNode"},
    {"typing", "Any"},
    {"torch.jit._pickle", "build_intlist build_doublelist build_boollist build_tensorlist restore_type_tag"},
};

/* Modules whose classes are known, and all below them. */
static const char known_modules[] = "torch.nn.modules numpy.dtypes";

/* What comes with every installation, below these: it is there to be called, whatever program is installed. */
static const char everywhere[] =
    "torch numpy "
    "abc aifc argparse array asynchat asyncore audioop base64 binascii bisect builtins calendar cgitb chunk cmath cmd "
    "code codecs collections colorsys configparser contextvars copy copyreg crypt csv curses dataclasses datetime "
    "decimal difflib email encodings enum errno filecmp fnmatch fractions getopt getpass gettext graphlib grp hashlib "
    "heapq hmac html imghdr io ipaddress itertools json keyword locale logging mailcap math mimetypes modulefinder "
    "msilib nis nturl2path numbers opcode optparse ossaudiodev pathlib pipes plistlib pprint profile pstats pwd pyclbr "
    "pydoc_data pyexpat queue quopri random re reprlib secrets shlex smtpd sndhdr spwd sre_compile sre_constants "
    "sre_parse stat statistics string stringprep struct sunau symtable syslog tabnanny textwrap time token tokenize "
    "tomllib trace traceback tracemalloc tty turtle turtledemo types typing unicodedata uu uuid warnings wave weakref "
    "winsound xdrlib xml zlib zoneinfo "
    /* of Python 2 */
    "__builtin__ copy_reg sets string strop user new exceptions cStringIO StringIO UserDict UserList ConfigParser "
    "Queue md5 sha mhlib mimetools rexec ihooks Bastion compiler hotshot statvfs dircache";

/* Parts of it whose classes lie in checkpoints, though no list names all of them. */
static const char of_classes[] =
    "torch.nn torch.optim torch.ao torch.quantization torch.distributions torch.autograd torch.amp torch.cuda.amp "
    "torch.utils.data torch.utils.hooks torch.distributed._shard torch.distributed._tensor torch.distributed.tensor "
    "torch.distributed.device_mesh torch.distributed.checkpoint.metadata torch.distributed.fsdp "
    "torch.distributed.algorithms numpy.random numpy.ma numpy.polynomial exceptions";

static const names danger[] = {
    {"builtins", "eval exec compile open getattr setattr delattr __import__ globals locals vars input breakpoint"},
    {"__builtin__", "eval exec execfile compile open file getattr setattr delattr __import__ globals locals vars input "
                    "raw_input breakpoint apply reload"},
    {"code", "InteractiveInterpreter InteractiveConsole interact"},
    {"profile", "Profile run runctx"},
    {"trace", "Trace main"},
    {"modulefinder", "ModuleFinder"},
    {"logging", "FileHandler basicConfig"},
    {"types", "CodeType FunctionType MethodType ModuleType LambdaType"},
    {"io", "open open_code FileIO"},
    {"_io", "open open_code FileIO"},
    {"uuid", "_get_command_stdout _popen"},
    {"codecs", "open StreamReaderWriter EncodedFile"},
    {"torch", "load save from_file jit compile ops classes hub"},
    {"torch.serialization", "load save"},
    {"torch.distributed.rpc.internal", "_run_function"},
    {"ruamel.yaml", "YAML load load_all unsafe_load"},
    {"torch.storage", "_load_from_bytes"},
    {"numpy", "load save fromfile memmap genfromtxt loadtxt"},
    {"pandas", "eval read_pickle"},
};

/* The system, code and programs that run it, files and the net, and what libraries offer of that. */
static const char danger_modules[] =
    "os posix nt posixpath ntpath genericpath subprocess _posixsubprocess _winapi sys shutil pty popen2 "
    "platform signal resource ctypes _ctypes cffi mmap fcntl termios multiprocessing _multiprocessing threading "
    "_thread concurrent asyncio sched faulthandler gc atexit winreg _winreg msvcrt runpy importlib imp _imp "
    "pkgutil zipimport zipapp codeop bdb pdb cProfile timeit doctest unittest test.support pydoc inspect ast "
    "dis site venv ensurepip pip setuptools distutils pkg_resources idlelib lib2to3 compileall py_compile "
    "marshal pickle _pickle cPickle pickletools shelve dill cloudpickle joblib jsonpickle operator _operator "
    "functools _functools contextlib logging.config logging.handlers tkinter antigravity this readline rlcompleter "
    "sysconfig _sysconfigdata _osx_support _aix_support pyximport IPython sympy tempfile fileinput glob linecache "
    "zipfile tarfile gzip bz2 lzma sqlite3 dbm mailbox netrc socket _socket socketserver ssl select selectors "
    "http httplib urllib urllib2 urllib3 requests aiohttp httpx ftplib smtplib poplib imaplib telnetlib nntplib "
    "xmlrpc webbrowser wsgiref cgi paramiko fsspec s3fs huggingface_hub torch.hub torch.jit torch.ops "
    "torch._ops torch.package torch.multiprocessing torch.distributed.run torch.utils.cpp_extension "
    "torch.utils.collect_env torch.utils.bottleneck torch.utils._config_module torch._dynamo torch._inductor "
    "torch.fx torch.testing torch.utils.data.datapipes numpy.testing numpy.f2py numpy.distutils numpy.lib.npyio "
    "numpy.ctypeslib pandas.io transformers.dynamic_module_utils "
    "yaml ruamel.yaml.main ruamel.yaml.constructor "
    /* of Python 2: protocols 0 to 2 use its names (commands is subprocess) */
    "commands thread dummy_thread SocketServer BaseHTTPServer SimpleHTTPServer CGIHTTPServer xmlrpclib "
    "SimpleXMLRPCServer DocXMLRPCServer cookielib anydbm dbhash gdbm dumbdbm whichdb";

enum {
    LONGEST = 64,   /* bytes: of a word in the tables */
    NAME_MOST = 256 /* of an honest name with dots */
};

/* By strstr, as a pickle can have a million names. */
static bool has_word(const char *words, st_text word)
{
    char needle[LONGEST + 1];
    if (word.len == 0 || word.len > LONGEST || memchr(word.ptr, '\0', word.len)) return false;
    memcpy(needle, word.ptr, word.len);
    needle[word.len] = '\0';
    for (const char *p = words; (p = strstr(p, needle)); p += word.len) {
        char end = p[word.len];
        if ((p == words || p[-1] == ' ') && (end == ' ' || end == '\0')) return true;
    }
    return false;
}

/* True if the module, or one that it lies in, is among the words. */
static bool in_modules(const char *words, st_text module)
{
    for (size_t n = 0; n <= module.len && n <= LONGEST; n++)
        if ((n == module.len || module.ptr[n] == '.') && has_word(words, (st_text){module.ptr, n})) return true;
    return false;
}

static bool in_names(const names *table, size_t count, st_text module, st_text name)
{
    for (size_t i = 0; i < count; i++)
        if (strlen(table[i].module) == module.len && memcmp(table[i].module, module.ptr, module.len) == 0 &&
            has_word(table[i].names, name))
            return true;
    return false;
}

#define COUNT(table) (sizeof(table) / sizeof *(table))

static bool is_danger(st_text module, st_text name)
{
    return in_modules(danger_modules, module) || in_names(danger, COUNT(danger), module, name);
}

static bool is_dunder(st_text t)
{
    return t.len > 4 && memcmp(t.ptr, "__", 2) == 0 && memcmp(t.ptr + t.len - 2, "__", 2) == 0;
}

/* The text up to the dot at or behind `from`, or all of it. */
static size_t part_end(st_text t, size_t from)
{
    const char *dot = from < t.len ? memchr(t.ptr + from, '.', t.len - from) : NULL;
    return dot ? (size_t)(dot - t.ptr) : t.len;
}

enum { MODULE_PARTS = 4, PARTS_MOST = 10 }; /* of a module in the tables, of an honest path */

/* Whether a path leads from a dangerous module on, or is such a module and a name in it. */
static bool begins_in_danger(st_text path)
{
    size_t end = part_end(path, 0);
    for (int i = 0; i < MODULE_PARTS && end < path.len; i++) {
        size_t next = part_end(path, end + 1);
        st_text module = {path.ptr, end}, name = {path.ptr + end + 1, next - end - 1};
        if (has_word(danger_modules, module) || in_names(danger, COUNT(danger), module, name)) return true;
        end = next;
    }
    return has_word(danger_modules, path);
}

/* A name with dots goes on to attributes of what it finds ("torch", "serialization.os.system"): each part may be the
 * name of a module that the first one happens to hold. */
static bool leads_to_danger(st_text path)
{
    int parts = 0;
    for (size_t from = 0; from < path.len;) {
        if (++parts > PARTS_MOST) return true;
        size_t end = part_end(path, from);
        st_text part = {path.ptr + from, end - from};
        if (is_dunder(part) || begins_in_danger((st_text){part.ptr, path.len - from})) return true;
        from = end + 1;
    }
    return false;
}

/* The text without what modules put before the names they import for themselves: "random._os" is os. */
static st_text without_underscores(st_text t, char *room)
{
    size_t n = 0;
    for (size_t i = 0; i < t.len; i++)
        if (t.ptr[i] != '_' || (n && room[n - 1] != '.')) room[n++] = t.ptr[i];
    return (st_text){room, n};
}

static st_callable dotted_callable(st_text module, st_text name)
{
    char path[2 * NAME_MOST + 1], bare[sizeof path];
    if (module.len > NAME_MOST || name.len > NAME_MOST) return ST_CALLABLE_DANGER;
    memcpy(path, module.ptr, module.len);
    path[module.len] = '.';
    memcpy(path + module.len + 1, name.ptr, name.len);
    st_text whole = {path, module.len + 1 + name.len};
    bool leads = leads_to_danger(whole) || leads_to_danger(without_underscores(whole, bare));
    return leads ? ST_CALLABLE_DANGER : ST_CALLABLE_SUSPECT;
}

/* Classes are told by their capitals: a function that such a module imported has none. */
static bool is_class(st_text name)
{
    size_t i = 0;
    while (i < name.len && name.ptr[i] == '_') i++;
    return i < name.len && name.ptr[i] >= 'A' && name.ptr[i] <= 'Z';
}

/* Modules with one underscore before them are Python's own, too. */
static bool is_everywhere(st_text module)
{
    bool inner = module.len > 1 && module.ptr[0] == '_' && module.ptr[1] != '_';
    return inner || in_modules(everywhere, module);
}

/* type(None) is a call of it, with one argument; the exceptions are classes as in any program. */
static bool is_plain_builtin(st_text module, st_text name)
{
    static const names plain[] = {{"builtins", "type"}, {"__builtin__", "type"}};
    static const char modules[] = "builtins __builtin__";
    return in_names(plain, COUNT(plain), module, name) || (in_modules(modules, module) && is_class(name));
}

static bool may_be_called(st_text module, st_text name)
{
    if (!is_everywhere(module) || is_plain_builtin(module, name)) return true;
    return (in_modules(of_classes, module) || in_modules(known_modules, module)) && is_class(name);
}

st_callable st_callable_of(st_text module, st_text name, bool called)
{
    if (name.len && memchr(name.ptr, '.', name.len)) return dotted_callable(module, name);
    if (in_names(known, COUNT(known), module, name)) return ST_CALLABLE_KNOWN;
    if (is_danger(module, name)) return ST_CALLABLE_DANGER;
    if (called && !may_be_called(module, name)) return ST_CALLABLE_SUSPECT;
    return in_modules(known_modules, module) ? ST_CALLABLE_KNOWN : ST_CALLABLE_UNKNOWN;
}
