/* The part of libpq that psqlpy calls, as cffi reads it: PostgreSQL manual, chapter "libpq - C Library". */

typedef unsigned int Oid;
typedef struct pg_conn PGconn;
typedef struct pg_result PGresult;
typedef struct pg_cancel PGcancel;
typedef struct pgNotify {
    char *relname;
    int be_pid;
    char *extra;
    ...;
} PGnotify;
typedef struct _PQconninfoOption {
    char *keyword;
    char *envvar;
    char *compiled;
    char *val;
    char *label;
    char *dispchar;
    int dispsize;
    ...;
} PQconninfoOption;
typedef ... *PQnoticeReceiver;

/* Connecting */
int PQconnectPoll(PGconn *conn);
int PQsetnonblocking(PGconn *conn, int arg);
PQconninfoOption *PQconndefaults(void);
PQconninfoOption *PQconninfoParse(const char *conninfo, char **errmsg);
PQconninfoOption *PQconninfo(PGconn *conn);
void PQconninfoFree(PQconninfoOption *options);
int PQsetErrorVerbosity(PGconn *conn, int verbosity);
int PQlibVersion(void);

/* Status */
int PQstatus(const PGconn *conn);
int PQsocket(const PGconn *conn);
int PQtransactionStatus(const PGconn *conn);
int PQpipelineStatus(const PGconn *conn);
int PQclientEncoding(const PGconn *conn);
const char *PQparameterStatus(const PGconn *conn, const char *name);
int PQserverVersion(const PGconn *conn);
int PQbackendPID(const PGconn *conn);
char *PQerrorMessage(const PGconn *conn);
int PQconnectionUsedPassword(const PGconn *conn);
int PQconnectionNeedsPassword(const PGconn *conn);
int PQsslInUse(PGconn *conn);
const char *PQsslAttribute(PGconn *conn, const char *name);
char *PQdb(const PGconn *conn);
char *PQuser(const PGconn *conn);
char *PQhost(const PGconn *conn);
char *PQhostaddr(const PGconn *conn);
char *PQport(const PGconn *conn);
char *PQoptions(const PGconn *conn);

/* Dialogue */
int PQenterPipelineMode(PGconn *conn);
int PQexitPipelineMode(PGconn *conn);
int PQsendQuery(PGconn *conn, const char *query);
int PQsetSingleRowMode(PGconn *conn);
int PQsendPrepare(PGconn *conn, const char *name, const char *query, int nparams, const Oid *types);
int PQsendDescribePortal(PGconn *conn, const char *portal);
int PQconsumeInput(PGconn *conn);
int PQisBusy(PGconn *conn);
int PQflush(PGconn *conn);
PGresult *PQgetResult(PGconn *conn);
int PQputCopyData(PGconn *conn, const char *buffer, int nbytes);
int PQputCopyEnd(PGconn *conn, const char *errormsg);
int PQgetCopyData(PGconn *conn, char **buffer, int async);
PGnotify *PQnotifies(PGconn *conn);
void PQfreemem(void *ptr);

/* Results */
int PQresultStatus(const PGresult *res);
char *PQresultErrorField(const PGresult *res, int fieldcode);
char *PQresultErrorMessage(const PGresult *res);
void PQclear(PGresult *res);
int PQntuples(const PGresult *res);
int PQnfields(const PGresult *res);
char *PQfname(const PGresult *res, int column);
Oid PQftype(const PGresult *res, int column);
Oid PQftable(const PGresult *res, int column);
int PQfmod(const PGresult *res, int column);
int PQfformat(const PGresult *res, int column);
int PQnparams(const PGresult *res);
Oid PQparamtype(const PGresult *res, int param);
char *PQgetvalue(const PGresult *res, int row, int column);
int PQgetlength(const PGresult *res, int row, int column);
int PQgetisnull(const PGresult *res, int row, int column);
char *PQcmdStatus(PGresult *res);
char *PQcmdTuples(PGresult *res);
size_t PQresultMemorySize(const PGresult *res);

/* Cancelling */
PGcancel *PQgetCancel(PGconn *conn);
void PQfreeCancel(PGcancel *cancel);
