/* A PKCS#11 module that stands before SoftHSM2 and misbehaves as the environment says. For tests only.
 *
 *   OWNERD_P11_FAULT=C_Sign:0x30      that function returns CKR 0x30, and does nothing
 *   OWNERD_P11_FAULT=C_Sign:hang      that function does not return while this is set
 *   OWNERD_P11_FAULT=C_Sign:flip      the last byte of its output is wrong
 *   OWNERD_P11_FAULT=C_Sign:pull      the token is pulled while that function works
 *   OWNERD_P11_FAULT=C_DeriveKey:same every key is derived from the first peer's point
 *   OWNERD_P11_FAULT=C_DeriveKey:der  the point must come as an OCTET STRING
 *   OWNERD_P11_ABSENT=1               there is no token, and what was open is gone
 *   OWNERD_P11_TRIES=FILE             counts user PIN tries down in FILE, of which it starts with 5
 *   OWNERD_P11_LOG=FILE               one line per call: name, C_Login's user type, result
 *
 * Types are those of PKCS#11 2.40 on Linux, where CK_ULONG is unsigned long; only what is used is declared.
 */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef unsigned long ul;
typedef unsigned char byte;
typedef ul (*function)();
typedef struct { byte major, minor; function f[68]; } list;
typedef struct { ul mechanism; void *parameter; ul size; } mechanism;
typedef struct { ul kdf, shared_size; byte *shared; ul public_size; byte *public; } ecdh;
typedef struct { byte label[32], manufacturer[32], model[16], serial[16]; ul flags; } token_info;

enum { INITIALIZE = 0, FINALIZE = 1, FUNCTION_LIST = 3, SLOT_LIST = 4, TOKEN_INFO = 6, OPEN = 12, CLOSE = 13,
       LOGIN = 18, LOGOUT = 19, ATTRIBUTES = 24, FIND = 26, SIGN_INIT = 42, SIGN = 43, DERIVE = 62 };
enum { OK = 0, ARGUMENTS_BAD = 7, DEVICE_REMOVED = 0x32, PARAM_INVALID = 0x71, PIN_INCORRECT = 0xA0,
       PIN_LOCKED = 0xA4, TOKEN_NOT_PRESENT = 0xE0, MAX_TRIES = 5 };

static list ours, *real;

static const char *fault(const char *name) {
    const char *set = getenv("OWNERD_P11_FAULT");
    size_t size = strlen(name);
    return set && !strncmp(set, name, size) && set[size] == ':' ? set + size + 1 : NULL;
}

static int is(const char *name, const char *wanted) {
    const char *set = fault(name);
    return set && !strcmp(set, wanted);
}

static ul note(const char *name, ul detail, ul result) {
    const char *path = getenv("OWNERD_P11_LOG");
    FILE *file = path ? fopen(path, "a") : NULL;
    if (file) { fprintf(file, "%s %lu 0x%lx\n", name, detail, result); fclose(file); }
    return result;
}

/* What a function returns instead of working; OK: it works. */
static ul stop(const char *name, ul when_absent) {
    while (is(name, "hang")) usleep(5000);
    if (is(name, "pull")) setenv("OWNERD_P11_ABSENT", "1", 1);
    if (when_absent && getenv("OWNERD_P11_ABSENT")) return when_absent;
    const char *set = is(name, "pull") ? NULL : fault(name);
    return set ? strtoul(set, NULL, 0) : OK;
}

static int tries(int change) {
    const char *path = getenv("OWNERD_P11_TRIES");
    int left = MAX_TRIES;
    FILE *file = path ? fopen(path, "r") : NULL;
    if (file) { if (fscanf(file, "%d", &left) != 1) left = MAX_TRIES; fclose(file); }
    if (!path || change < 0) return left;
    file = fopen(path, "w");
    if (file) { fprintf(file, "%d", change); fclose(file); }
    return change;
}

static ul initialize(void *arguments) {
    ul stopped = stop("C_Initialize", OK);
    return note("C_Initialize", 0, stopped ? stopped : real->f[INITIALIZE](arguments));
}

static ul finalize(void *reserved) {
    ul stopped = stop("C_Finalize", OK);
    return note("C_Finalize", 0, stopped ? stopped : real->f[FINALIZE](reserved));
}

static ul slot_list(byte present, ul *slots, ul *count) {
    ul stopped = stop("C_GetSlotList", OK);
    if (stopped) return note("C_GetSlotList", 0, stopped);
    if (getenv("OWNERD_P11_ABSENT")) { *count = 0; return OK; }
    return real->f[SLOT_LIST](present, slots, count);
}

static ul get_token_info(ul slot, token_info *info) {
    ul result = stop("C_GetTokenInfo", TOKEN_NOT_PRESENT);
    if (result || (result = real->f[TOKEN_INFO](slot, info))) return result;
    int left = tries(-1);
    if (left == 0) info->flags |= 0x40000;
    if (left == 1) info->flags |= 0x20000;
    if (left < MAX_TRIES) info->flags |= 0x10000;
    return OK;
}

static ul open_session(ul slot, ul flags, void *data, void *notify, ul *session) {
    ul stopped = stop("C_OpenSession", TOKEN_NOT_PRESENT);
    return note("C_OpenSession", 0, stopped ? stopped : real->f[OPEN](slot, flags, data, notify, session));
}

static ul close_session(ul session) {
    ul stopped = stop("C_CloseSession", DEVICE_REMOVED);
    return note("C_CloseSession", 0, stopped ? stopped : real->f[CLOSE](session));
}

static ul login(ul session, ul user, byte *pin, ul size) {
    ul stopped = stop("C_Login", DEVICE_REMOVED);
    if (stopped) return note("C_Login", user, stopped);
    int left = tries(-1);
    if (left == 0) return note("C_Login", user, PIN_LOCKED);
    ul result = real->f[LOGIN](session, user, pin, size);
    if (result == PIN_INCORRECT) tries(left - 1);
    if (result == OK) tries(MAX_TRIES);
    return note("C_Login", user, result);
}

static ul logout(ul session) {
    ul stopped = stop("C_Logout", DEVICE_REMOVED);
    return note("C_Logout", 0, stopped ? stopped : real->f[LOGOUT](session));
}

static ul attributes(ul session, ul object, void *template, ul count) {
    ul stopped = stop("C_GetAttributeValue", DEVICE_REMOVED);
    return stopped ? stopped : real->f[ATTRIBUTES](session, object, template, count);
}

static ul find(ul session, void *template, ul count) {
    ul stopped = stop("C_FindObjectsInit", DEVICE_REMOVED);
    return stopped ? stopped : real->f[FIND](session, template, count);
}

static ul sign_init(ul session, mechanism *how, ul key) {
    ul stopped = stop("C_SignInit", DEVICE_REMOVED);
    return note("C_SignInit", how ? how->mechanism : 0, stopped ? stopped : real->f[SIGN_INIT](session, how, key));
}

static ul sign(ul session, byte *data, ul size, byte *signature, ul *length) {
    int flip = is("C_Sign", "flip");
    ul stopped = stop("C_Sign", DEVICE_REMOVED);
    if (stopped && !flip) return note("C_Sign", 0, stopped);
    ul result = real->f[SIGN](session, data, size, signature, length);
    if (flip && signature && result == OK) signature[*length - 1] ^= 1;
    return signature ? note("C_Sign", 0, result) : result;
}

static ul derive(ul session, mechanism *how, ul key, void *template, ul count, ul *made) {
    static byte first[133];
    static ul first_size;
    ecdh changed = *(ecdh *)how->parameter;
    mechanism with = {how->mechanism, &changed, how->size};
    if (is("C_DeriveKey", "same")) {
        if (!first_size) memcpy(first, changed.public, first_size = changed.public_size);
        changed.public = first;
        changed.public_size = first_size;
    } else if (is("C_DeriveKey", "der")) {
        if (changed.public_size != 67) return note("C_DeriveKey", 0, PARAM_INVALID);
    } else {
        ul stopped = stop("C_DeriveKey", DEVICE_REMOVED);
        first_size = 0;
        if (stopped) return note("C_DeriveKey", 0, stopped);
    }
    return note("C_DeriveKey", 0, real->f[DERIVE](session, &with, key, template, count, made));
}

ul C_GetFunctionList(list **answer) {
    void *library = dlopen(SOFTHSM, RTLD_NOW | RTLD_LOCAL);
    function get = library ? (function)dlsym(library, "C_GetFunctionList") : NULL;
    if (!answer || !get || get(&real)) return ARGUMENTS_BAD;
    ours = *real;
    ours.f[INITIALIZE] = (function)initialize;
    ours.f[FINALIZE] = (function)finalize;
    ours.f[FUNCTION_LIST] = (function)C_GetFunctionList;
    ours.f[SLOT_LIST] = (function)slot_list;
    ours.f[TOKEN_INFO] = (function)get_token_info;
    ours.f[OPEN] = (function)open_session;
    ours.f[CLOSE] = (function)close_session;
    ours.f[LOGIN] = (function)login;
    ours.f[LOGOUT] = (function)logout;
    ours.f[ATTRIBUTES] = (function)attributes;
    ours.f[FIND] = (function)find;
    ours.f[SIGN_INIT] = (function)sign_init;
    ours.f[SIGN] = (function)sign;
    ours.f[DERIVE] = (function)derive;
    *answer = &ours;
    return OK;
}
