/* The only file that knows libcurl.
 * What the other side may do is bounded here: TLS 1.2 or newer with the mounted CA and the server's name checked,
 * no redirect, no proxy, no other scheme, no compression, an answer of at most KT_KUBE_BODY_MAX within a deadline.
 * The environment decides nothing: main clears it before curl and OpenSSL see it. */
#include "client.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "credentials.h"
#include "kontain/base/own.h"

#define CONNECT_TIMEOUT_MS 5000L
#define REQUEST_TIMEOUT_MS 15000L
#define RETRY_AFTER_MAX_S  300
#define HEAD_BYTES_MAX     (64 * 1024) /* of an answer's header lines: curl keeps them all */
#define COUNTS_KEPT        8           /* "other" and "error" of GET, PATCH, POST and WATCH */
#define REFUSAL_BYTES_MAX  4096        /* of what a refused watch says */
/* A connection is kept for the few requests of one report; the next one reads the CA again. */
#define CONNECTION_AGE_S 20L

/* A request, or the watch: each has a connection of its own while it is under way (HTTP/1.1). */
struct transfer {
	CURL *easy;                 /* NULL without an API server */
	struct curl_slist *headers; /* of what is under way */
	char *request_body;
	char *body;
	size_t size;
	size_t head_size;
	bool too_big;
	bool busy;
	bool ended;
	bool is_stopped; /* by `take` */
	CURLcode result;
	const char *verb;   /* for the count */
	kt_kube_take *take; /* of a watch; NULL: the whole answer is kept */
	void *context;
	char problem[CURL_ERROR_SIZE];
};

struct kt_kube {
	CURLM *multi;
	struct transfer request;
	struct transfer watch;
	char url[300];
	char credentials[256];
	char user_agent[64];
	size_t count_count;
	struct kt_kube_count counts[KT_KUBE_COUNTS];
};

static size_t keep_body(char *bytes, size_t one, size_t size, void *context)
{
	struct transfer *transfer = context;
	long code = 0;
	char *grown;

	(void)one;
	if (transfer->take) {
		curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &code);
		if (code == 200) {
			transfer->is_stopped = !transfer->take(transfer->context, bytes, size);
			return transfer->is_stopped ? 0 : size;
		}
	}
	if (transfer->size + size > (transfer->take ? REFUSAL_BYTES_MAX : KT_KUBE_BODY_MAX)) {
		transfer->too_big = true;
		return 0; /* ends the transfer */
	}
	grown = realloc(transfer->body, transfer->size + size + 1);
	if (!grown)
		return 0;
	memcpy(grown + transfer->size, bytes, size);
	transfer->body = grown;
	transfer->size += size;
	transfer->body[transfer->size] = '\0';
	return size;
}

static size_t count_head(char *bytes, size_t one, size_t size, void *context)
{
	struct transfer *transfer = context;

	(void)bytes;
	(void)one;
	transfer->head_size += size;
	transfer->too_big = transfer->too_big || transfer->head_size > HEAD_BYTES_MAX;
	return transfer->too_big ? 0 : size;
}

static CURLcode set_options(struct kt_kube *kube, struct transfer *transfer, long timeout_ms)
{
	CURL *easy = transfer->easy;
	CURLcode r = CURLE_OK;
	char ca[300];

	snprintf(ca, sizeof(ca), "%s/ca.crt", kube->credentials);
#define SET(option, value) r = r != CURLE_OK ? r : curl_easy_setopt(easy, option, value)
	SET(CURLOPT_PROTOCOLS_STR, "https");
	SET(CURLOPT_REDIR_PROTOCOLS_STR, "https");
	SET(CURLOPT_FOLLOWLOCATION, 0L);
	SET(CURLOPT_PROXY, "");
	SET(CURLOPT_NOPROXY, "*");
	SET(CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
	SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	SET(CURLOPT_SSL_VERIFYPEER, 1L);
	SET(CURLOPT_SSL_VERIFYHOST, 2L);
	SET(CURLOPT_CAINFO, ca);
	SET(CURLOPT_CAPATH, NULL);
	SET(CURLOPT_CA_CACHE_TIMEOUT, 0L); /* a new connection reads the file again: CAs rotate */
	SET(CURLOPT_MAXAGE_CONN, CONNECTION_AGE_S);
	SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	SET(CURLOPT_HTTP09_ALLOWED, 0L);
	SET(CURLOPT_CONNECTTIMEOUT_MS, CONNECT_TIMEOUT_MS);
	SET(CURLOPT_TIMEOUT_MS, timeout_ms);
	SET(CURLOPT_NOSIGNAL, 1L);
	SET(CURLOPT_NOPROGRESS, 1L);
	SET(CURLOPT_BUFFERSIZE, 16384L);
	SET(CURLOPT_ERRORBUFFER, transfer->problem);
	SET(CURLOPT_WRITEFUNCTION, keep_body);
	SET(CURLOPT_WRITEDATA, transfer);
	SET(CURLOPT_HEADERFUNCTION, count_head);
	SET(CURLOPT_HEADERDATA, transfer);
	SET(CURLOPT_QUICK_EXIT, 1L); /* SIGTERM does not wait for a name server */
	SET(CURLOPT_PRIVATE, (char *)transfer);
	SET(CURLOPT_USERAGENT, kube->user_agent);
#undef SET
	return r;
}

static CURLcode open_transfer(struct kt_kube *kube, struct transfer *transfer, long timeout_ms)
{
	transfer->easy = curl_easy_init();
	return transfer->easy ? set_options(kube, transfer, timeout_ms) : CURLE_OUT_OF_MEMORY;
}

int kt_kube_open(const struct kt_kube_settings *settings, struct kt_kube **ret_kube, struct kt_error *err)
{
	KT_OWN(kt_kube_close) struct kt_kube *kube = calloc(1, sizeof(*kube));
	bool is_ipv6 = settings->host && strchr(settings->host, ':');
	CURLcode r;

	if (!kube)
		return kt_fail(err, ENOMEM, KT_REASON_OUT_OF_MEMORY, "no memory for the API client");
	/* Without an API server curl only polls: TLS need not be set up. */
	r = curl_global_init(settings->host ? CURL_GLOBAL_SSL : CURL_GLOBAL_NOTHING);
	if (r != CURLE_OK)
		return kt_fail(err, EIO, KT_REASON_INTERNAL, "cannot start libcurl: %s", curl_easy_strerror(r));
	kube->multi = curl_multi_init();
	if (!kube->multi)
		return kt_fail(err, ENOMEM, KT_REASON_OUT_OF_MEMORY, "no memory for the API client");
	curl_multi_setopt(kube->multi, CURLMOPT_MAXCONNECTS, 2L);
	if (settings->host) {
		snprintf(kube->url, sizeof(kube->url), "https://%s%s%s:%s", is_ipv6 ? "[" : "", settings->host,
			 is_ipv6 ? "]" : "", settings->port);
		snprintf(kube->credentials, sizeof(kube->credentials), "%s", settings->credentials);
		snprintf(kube->user_agent, sizeof(kube->user_agent), "%s", settings->user_agent);
		r = open_transfer(kube, &kube->request, REQUEST_TIMEOUT_MS);
		if (r == CURLE_OK) /* A watch ends by its own time or by kt_watch's: none here. */
			r = open_transfer(kube, &kube->watch, 0);
		if (r != CURLE_OK)
			return kt_fail(err, EIO, KT_REASON_INTERNAL, "cannot set up libcurl: %s",
				       curl_easy_strerror(r));
	}
	*ret_kube = kt_take_ptr(&kube);
	return 0;
}

static void forget_reply(struct transfer *transfer)
{
	free(transfer->body);
	transfer->body = NULL;
	transfer->size = 0;
}

/* The token is in the header list: wiped before it is given back. */
static void forget_request(struct transfer *transfer)
{
	for (struct curl_slist *line = transfer->headers; line; line = line->next)
		explicit_bzero(line->data, strlen(line->data));
	curl_slist_free_all(transfer->headers);
	transfer->headers = NULL;
	free(transfer->request_body);
	transfer->request_body = NULL;
}

static void close_transfer(struct kt_kube *kube, struct transfer *transfer)
{
	if (transfer->busy)
		curl_multi_remove_handle(kube->multi, transfer->easy);
	if (transfer->easy)
		curl_easy_cleanup(transfer->easy);
	forget_request(transfer);
	forget_reply(transfer);
}

void kt_kube_close(struct kt_kube **kube)
{
	struct kt_kube *k = *kube;

	*kube = NULL;
	if (!k)
		return;
	close_transfer(k, &k->request);
	close_transfer(k, &k->watch);
	if (k->multi)
		curl_multi_cleanup(k->multi);
	free(k);
	curl_global_cleanup();
}

bool kt_kube_is_busy(const struct kt_kube *kube)
{
	return kube->request.busy;
}

bool kt_kube_is_watching(const struct kt_kube *kube)
{
	return kube->watch.busy;
}

static bool add_header(struct transfer *transfer, const char *line)
{
	struct curl_slist *longer = curl_slist_append(transfer->headers, line);

	if (longer)
		transfer->headers = longer;
	return longer;
}

/* The token first: hide_token knows it by its place. */
static bool set_request(const struct kt_kube *kube, struct transfer *transfer, const struct kt_kube_request *request,
			const char *authorization)
{
	CURL *easy = transfer->easy;
	char url[700];
	char content_type[96];
	bool ok;

	snprintf(url, sizeof(url), "%s%s", kube->url, request->path);
	ok = add_header(transfer, authorization) && add_header(transfer, "Accept: application/json") &&
	     add_header(transfer, "Expect:"); /* curl would wait for "100 Continue" before a long body */
	if (request->content_type) {
		snprintf(content_type, sizeof(content_type), "Content-Type: %s", request->content_type);
		ok = ok && add_header(transfer, content_type);
	}
	ok = ok && curl_easy_setopt(easy, CURLOPT_URL, url) == CURLE_OK &&
	     curl_easy_setopt(easy, CURLOPT_HTTPHEADER, transfer->headers) == CURLE_OK;
	/* HTTPGET first: it undoes what an earlier PATCH set. */
	ok = ok && curl_easy_setopt(easy, CURLOPT_HTTPGET, 1L) == CURLE_OK &&
	     curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, request->verb) == CURLE_OK;
	if (transfer->request_body)
		ok = ok && curl_easy_setopt(easy, CURLOPT_POSTFIELDS, transfer->request_body) == CURLE_OK &&
		     curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE, (long)strlen(transfer->request_body)) == CURLE_OK;
	return ok;
}

static int start(struct kt_kube *kube, struct transfer *transfer, struct kt_kube_request *request, const char *verb,
		 struct kt_error *err)
{
	KT_OWN(kt_credentials_forget) char *authorization = NULL;
	int r;

	forget_reply(transfer);
	transfer->head_size = 0;
	transfer->too_big = transfer->ended = transfer->is_stopped = false;
	transfer->problem[0] = '\0';
	transfer->verb = verb;
	transfer->request_body = kt_take_ptr(&request->body);
	r = kt_credentials_header(kube->credentials, &authorization, err);
	if (r < 0) {
		forget_request(transfer);
		return r;
	}
	if (!set_request(kube, transfer, request, authorization) ||
	    curl_multi_add_handle(kube->multi, transfer->easy) != CURLM_OK) {
		forget_request(transfer);
		return kt_fail(err, ENOMEM, KT_REASON_OUT_OF_MEMORY, "cannot set up a request to the API server");
	}
	transfer->busy = true;
	return 0;
}

int kt_kube_start(struct kt_kube *kube, struct kt_kube_request *request, struct kt_error *err)
{
	return start(kube, &kube->request, request, request->verb, err);
}

int kt_kube_watch(struct kt_kube *kube, struct kt_kube_request *request, kt_kube_take *take, void *context,
		  struct kt_error *err)
{
	kube->watch.take = take;
	kube->watch.context = context;
	return start(kube, &kube->watch, request, "WATCH", err);
}

static struct kt_kube_count *find_count(struct kt_kube *kube, const char *verb, const char *code)
{
	for (size_t i = 0; i < kube->count_count; i++)
		if (strcmp(kube->counts[i].verb, verb) == 0 && strcmp(kube->counts[i].code, code) == 0)
			return &kube->counts[i];
	return NULL;
}

static void count(struct kt_kube *kube, const char *verb, long code)
{
	struct kt_kube_count *row;
	char name[8] = "error";

	if (code >= 100 && code <= 599)
		snprintf(name, sizeof(name), "%ld", code);
	else if (code > 0)
		snprintf(name, sizeof(name), "other");
	row = find_count(kube, verb, name);
	/* A server that invents codes must not grow the metrics without end: rows are kept for the rest. */
	if (!row && kube->count_count >= KT_KUBE_COUNTS - COUNTS_KEPT && code > 0) {
		snprintf(name, sizeof(name), "other");
		row = find_count(kube, verb, name);
	}
	if (!row) {
		row = &kube->counts[kube->count_count++];
		row->verb = verb;
		snprintf(row->code, sizeof(row->code), "%s", name);
	}
	row->count++;
}

/* A server may say the token back to us, in an error for one: it must reach neither log nor /readyz. */
static void hide_token(struct transfer *transfer)
{
	const char *space = transfer->headers ? strrchr(transfer->headers->data, ' ') : NULL;
	size_t length = space ? strlen(space + 1) : 0;
	char *at = transfer->body;

	while (length > 0 && at && (at = memmem(at, transfer->size - (size_t)(at - transfer->body), space + 1, length)))
		memset(at, '*', length);
}

/* Which of the two have ended. */
static void read_ends(struct kt_kube *kube)
{
	CURLMsg *message;
	int left;

	while ((message = curl_multi_info_read(kube->multi, &left))) {
		struct transfer *transfer = message->easy_handle == kube->watch.easy ? &kube->watch : &kube->request;

		if (message->msg != CURLMSG_DONE)
			continue;
		transfer->ended = true;
		transfer->result = message->data.result;
	}
}

static void describe_failure(const struct transfer *transfer, struct kt_kube_reply *reply)
{
	if (transfer->is_stopped)
		snprintf(reply->problem, sizeof(reply->problem), "the watch was given up");
	else if (transfer->too_big)
		snprintf(reply->problem, sizeof(reply->problem), "the API server's answer is larger than %d MiB",
			 KT_KUBE_BODY_MAX / 1024 / 1024);
	else
		snprintf(reply->problem, sizeof(reply->problem), "the API server does not answer: %.200s",
			 transfer->problem[0] ? transfer->problem : curl_easy_strerror(transfer->result));
}

/* `code` for the count is that of the answer, however a watch went on after it. */
static bool finish(struct kt_kube *kube, struct transfer *transfer, struct kt_kube_reply *ret_reply)
{
	struct kt_kube_reply reply = {0};
	curl_off_t retry_after = 0;
	long code = 0;

	if (transfer->busy)
		read_ends(kube);
	if (!transfer->busy || !transfer->ended)
		return false;
	curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &code);
	curl_easy_getinfo(transfer->easy, CURLINFO_RETRY_AFTER, &retry_after);
	curl_multi_remove_handle(kube->multi, transfer->easy);
	transfer->busy = false;
	hide_token(transfer);
	forget_request(transfer);
	reply.code = code;
	if (transfer->result != CURLE_OK && (!transfer->take || code == 200 || code == 0)) {
		reply.code = 0;
		describe_failure(transfer, &reply);
	}
	reply.body = transfer->body ? transfer->body : "";
	reply.size = transfer->size;
	reply.retry_after_s = retry_after < 0                 ? 0 :
			      retry_after > RETRY_AFTER_MAX_S ? RETRY_AFTER_MAX_S :
								(unsigned)retry_after;
	count(kube, transfer->verb, transfer->take ? code : reply.code);
	*ret_reply = reply;
	return true;
}

bool kt_kube_finish(struct kt_kube *kube, struct kt_kube_reply *ret_reply)
{
	return finish(kube, &kube->request, ret_reply);
}

bool kt_kube_watch_finish(struct kt_kube *kube, struct kt_kube_reply *ret_reply)
{
	return finish(kube, &kube->watch, ret_reply);
}

void kt_kube_watch_stop(struct kt_kube *kube)
{
	struct transfer *transfer = &kube->watch;
	long code = 0;

	if (!transfer->busy)
		return;
	curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &code);
	curl_multi_remove_handle(kube->multi, transfer->easy);
	transfer->busy = false;
	forget_request(transfer);
	forget_reply(transfer);
	count(kube, transfer->verb, code);
}

int kt_kube_wait(struct kt_kube *kube, struct pollfd *fds, unsigned fd_count, int timeout_ms, struct kt_error *err)
{
	struct curl_waitfd wait[8] = {0};
	int running, under_way = kube->request.busy + kube->watch.busy;
	CURLMcode r;

	if (fd_count > sizeof(wait) / sizeof(wait[0]))
		return kt_fail(err, EINVAL, KT_REASON_INTERNAL, "%u descriptors are too many to wait for", fd_count);
	if (!kube->request.busy)
		forget_reply(&kube->request);
	r = curl_multi_perform(kube->multi, &running);
	for (unsigned i = 0; i < fd_count; i++)
		wait[i] = (struct curl_waitfd){.fd = fds[i].fd, .events = CURL_WAIT_POLLIN};
	/* A request that has just ended is to be taken before anything is waited for. */
	if (r == CURLM_OK)
		r = curl_multi_poll(kube->multi, wait, fd_count, running < under_way ? 0 : timeout_ms, NULL);
	if (r == CURLM_OK)
		r = curl_multi_perform(kube->multi, &running);
	if (r != CURLM_OK)
		return kt_fail(err, EIO, KT_REASON_INTERNAL, "cannot wait: %s", curl_multi_strerror(r));
	for (unsigned i = 0; i < fd_count; i++)
		fds[i].revents = wait[i].revents ? POLLIN : 0;
	return 0;
}

size_t kt_kube_counts(const struct kt_kube *kube, const struct kt_kube_count **ret_counts)
{
	*ret_counts = kube->counts;
	return kube->count_count;
}
