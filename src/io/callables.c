/* callables.c - the table of names that a pickle would import. Layer: io; may touch nothing.
 *
 * Nothing here is ever called, so the table protects nobody by itself: it decides what is said about a file, and which
 * one is refused unless the user asks for its tensors alone. A name that is missing is listed as unknown. */
#include "callables.h"

#include <string.h>

typedef struct names {
    const char *module, *names; /* words */
} names;

static const names known[] = {
    {"collections", "OrderedDict defaultdict Counter deque"},
    {"torch", "Tensor Size device dtype layout Generator strided preserve_format contiguous_format channels_last "
              "BFloat16Storage HalfStorage FloatStorage DoubleStorage LongStorage IntStorage ShortStorage "
              "CharStorage ByteStorage BoolStorage ComplexFloatStorage ComplexDoubleStorage QInt8Storage "
              "QUInt8Storage QInt32Storage bool uint8 int8 uint16 int16 uint32 int32 uint64 int64 float16 half "
              "bfloat16 float32 float float64 double complex32 complex64 cfloat complex128 cdouble float8_e4m3fn "
              "float8_e5m2 float8_e4m3fnuz float8_e5m2fnuz float8_e8m0fnu float4_e2m1fn_x2 qint8 quint8 qint32 "
              "per_tensor_affine per_channel_affine long int short"},
    {"torch._utils", "_rebuild_tensor _rebuild_tensor_v2 _rebuild_tensor_v3 _rebuild_parameter "
                     "_rebuild_parameter_with_state _rebuild_qtensor _rebuild_sparse_tensor _rebuild_sparse_csr_tensor "
                     "_rebuild_nested_tensor _rebuild_meta_tensor_no_storage _rebuild_wrapper_subclass "
                     "_rebuild_device_tensor_from_numpy _rebuild_device_tensor_from_cpu_tensor"},
    {"torch._tensor", "_rebuild_from_type_v2"},
    {"torch.nn.parameter", "Parameter Buffer UninitializedParameter UninitializedBuffer"},
    {"torch.storage", "UntypedStorage TypedStorage _TypedStorage _UntypedStorage"},
    {"torch.serialization", "_get_layout"},
    {"numpy", "dtype ndarray float64 float32 int64 bool_ number generic"},
    {"numpy.core.multiarray", "scalar _reconstruct"},
    {"numpy._core.multiarray", "scalar _reconstruct"},
    {"_codecs", "encode"},
    {"copyreg", "_reconstructor __newobj__"},
    {"copy_reg", "_reconstructor __newobj__"},
    {"builtins", "set frozenset list dict tuple object int float bool str bytes bytearray complex slice range"},
    {"__builtin__",
     "set frozenset list dict tuple object int float bool str bytes bytearray complex slice unicode long"},
    {"argparse", "Namespace"},
    {"pathlib", "PosixPath WindowsPath Path PurePath PurePosixPath"},
    {"datetime", "datetime date time timedelta timezone"},
    {"types", "SimpleNamespace"},
    {"enum", "Enum IntEnum"},
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

/* Modules of which everything is known, and all below them. */
static const char known_modules[] = "torch.nn.modules numpy.dtypes";

static const names danger[] = {
    {"builtins", "eval exec compile open getattr setattr delattr __import__ globals locals vars input breakpoint"},
    {"__builtin__", "eval exec execfile compile open file getattr setattr delattr __import__ globals locals vars input "
                    "raw_input breakpoint apply reload"},
    {"code", "InteractiveInterpreter InteractiveConsole interact"},
    {"profile", "Profile run runctx"},
    {"trace", "Trace"},
    {"types", "CodeType FunctionType MethodType ModuleType LambdaType"},
    {"io", "open open_code FileIO"},
    {"_io", "open open_code FileIO"},
    {"uuid", "_get_command_stdout _popen"},
    {"codecs", "open StreamReaderWriter EncodedFile"},
    {"torch", "load jit compile ops classes hub"},
    {"torch.serialization", "load"},
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
    "functools _functools contextlib logging.config tkinter antigravity this readline rlcompleter sysconfig "
    "_sysconfigdata _osx_support _aix_support pyximport IPython sympy tempfile fileinput glob linecache "
    "zipfile tarfile gzip bz2 lzma sqlite3 dbm mailbox netrc socket _socket socketserver ssl select selectors "
    "http httplib urllib urllib2 urllib3 requests aiohttp httpx ftplib smtplib poplib imaplib telnetlib nntplib "
    "xmlrpc webbrowser wsgiref cgi paramiko fsspec s3fs huggingface_hub torch.hub torch.jit torch.ops "
    "torch._ops torch.package torch.multiprocessing torch.distributed.run torch.utils.cpp_extension "
    "torch.utils.collect_env torch.utils.bottleneck torch.utils._config_module torch._dynamo torch._inductor "
    "torch.fx torch.testing torch.utils.data.datapipes numpy.testing numpy.f2py numpy.distutils numpy.lib.npyio "
    "numpy.ctypeslib pandas.io transformers.dynamic_module_utils "
    /* of Python 2: protocols 0 to 2 use its names (commands is subprocess) */
    "commands thread dummy_thread SocketServer BaseHTTPServer SimpleHTTPServer CGIHTTPServer xmlrpclib "
    "SimpleXMLRPCServer DocXMLRPCServer cookielib anydbm dbhash gdbm dumbdbm whichdb";

static bool has_word(const char *words, st_text word)
{
    for (const char *p = words; *p;) {
        size_t n = strcspn(p, " ");
        if (n == word.len && memcmp(p, word.ptr, n) == 0) return true;
        p += n + (p[n] == ' ');
    }
    return false;
}

enum { LONGEST = 64, NAME_MOST = 512 }; /* bytes: of a module in the tables, of an honest name */

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

/* A name with dots goes on to attributes of what it finds ("torch", "serialization.os.system"): each part may be the
 * name of a module that the first one happens to hold. */
static bool reaches_danger(st_text name)
{
    for (size_t from = 0; from < name.len;) {
        const char *dot = memchr(name.ptr + from, '.', name.len - from);
        st_text part = {name.ptr + from, dot ? (size_t)(dot - name.ptr) - from : name.len - from};
        st_text rest = {part.ptr + part.len + (dot != NULL), dot ? name.len - from - part.len - 1 : 0};
        st_text next = {rest.ptr, rest.len};
        const char *end = rest.len ? memchr(rest.ptr, '.', rest.len) : NULL;
        if (end) next.len = (size_t)(end - rest.ptr);
        if (is_dunder(part) || is_danger(part, next)) return true;
        from += part.len + 1;
    }
    return false;
}

st_callable st_callable_of(st_text module, st_text name)
{
    bool dotted = name.len && memchr(name.ptr, '.', name.len);
    if (!dotted && in_names(known, COUNT(known), module, name)) return ST_CALLABLE_KNOWN;
    if (is_danger(module, name) || (dotted && (name.len > NAME_MOST || reaches_danger(name))))
        return ST_CALLABLE_DANGER;
    return !dotted && in_modules(known_modules, module) ? ST_CALLABLE_KNOWN : ST_CALLABLE_UNKNOWN;
}
