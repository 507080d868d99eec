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
#define COUNTS_KEPT        6           /* "other" and "error" of GET, PATCH and WATCH */
/* A connection is kept for the few requests of one report; the next one reads the CA again. */
#define CONNECTION_AGE_S 20L

/* A request, or the watch. */
struct transfer {
	CURL *easy;                 /* NULL without an API server */
	struct curl_slist *headers; /* while it is under way; the token is in the first */
	char *body;                 /* of the watch: the line that is not yet whole */
	size_t size;
	size_t head_size;
	bool too_big;
	bool busy;
	bool ended; /* and result says how */
	CURLcode result;
	const char *verb;
	char problem[CURL_ERROR_SIZE];
};

struct kt_kube {
	CURLM *multi;
	struct transfer request, watch;
	char *request_body;
	kt_kube_line *line;
	void *line_context;
	bool has_line; /* one was handed out during this wait */
	char url[300];
	char credentials[256];
	char user_agent[64];
	size_t count_count;
	struct kt_kube_count counts[KT_KUBE_COUNTS];
};

static bool keep(struct transfer *transfer, const char *bytes, size_t size)
{
	char *grown;

	if (transfer->size + size > KT_KUBE_BODY_MAX) {
		transfer->too_big = true;
		return false;
	}
	grown = realloc(transfer->body, transfer->size + size + 1);
	if (!grown)
		return false;
	memcpy(grown + transfer->size, bytes, size);
	transfer->body = grown;
	transfer->size += size;
	transfer->body[transfer->size] = '\0';
	return true;
}

static void forget_body(struct transfer *transfer)
{
	free(transfer->body);
	transfer->body = NULL;
	transfer->size = 0;
}

static size_t keep_body(char *bytes, size_t one, size_t size, void *context)
{
	struct kt_kube *kube = context;

	(void)one;
	return keep(&kube->request, bytes, size) ? size : 0; /* less ends the transfer */
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

/* Only what answers 200 is an event a line; anything else is one text. */
static size_t keep_lines(char *bytes, size_t one, size_t size, void *context)
{
	struct kt_kube *kube = context;
	struct transfer *watch = &kube->watch;
	const char *end = bytes + size;
	long code = 0;

	(void)one;
	curl_easy_getinfo(watch->easy, CURLINFO_RESPONSE_CODE, &code);
	while (bytes < end) {
		const char *stop = code == 200 ? memchr(bytes, '\n', (size_t)(end - bytes)) : NULL;
		bool goes_on;

		if (!keep(watch, bytes, (size_t)((stop ? stop : end) - bytes)))
			return 0;
		if (!stop)
			break;
		hide_token(watch);
		kube->has_line = true;
		goes_on = watch->size == 0 || kube->line(kube->line_context, watch->body, watch->size);
		forget_body(watch);
		if (!goes_on)
			return 0;
		bytes += stop + 1 - bytes;
	}
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

static CURLcode set_options(struct kt_kube *kube, struct transfer *transfer, const char *credentials)
{
	bool is_watch = transfer == &kube->watch;
	CURL *easy = transfer->easy;
	CURLcode r = CURLE_OK;
	char ca[300];

	snprintf(ca, sizeof(ca), "%s/ca.crt", credentials);
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
	SET(CURLOPT_TIMEOUT_MS, is_watch ? 0L : REQUEST_TIMEOUT_MS); /* who watches knows how long is too silent */
	SET(CURLOPT_NOSIGNAL, 1L);
	SET(CURLOPT_NOPROGRESS, 1L);
	SET(CURLOPT_BUFFERSIZE, 16384L);
	SET(CURLOPT_ERRORBUFFER, transfer->problem);
	SET(CURLOPT_WRITEFUNCTION, is_watch ? keep_lines : keep_body);
	SET(CURLOPT_WRITEDATA, kube);
	SET(CURLOPT_HEADERFUNCTION, count_head);
	SET(CURLOPT_HEADERDATA, transfer);
	SET(CURLOPT_QUICK_EXIT, 1L); /* SIGTERM does not wait for a name server */
	SET(CURLOPT_PRIVATE, transfer);
	SET(CURLOPT_USERAGENT, kube->user_agent);
#undef SET
	return r;
}

static CURLcode open_transfer(struct kt_kube *kube, struct transfer *transfer, const char *credentials)
{
	transfer->easy = curl_easy_init();
	return transfer->easy ? set_options(kube, transfer, credentials) : CURLE_OUT_OF_MEMORY;
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
		r = open_transfer(kube, &kube->request, settings->credentials);
		if (r == CURLE_OK)
			r = open_transfer(kube, &kube->watch, settings->credentials);
		if (r != CURLE_OK)
			return kt_fail(err, EIO, KT_REASON_INTERNAL, "cannot set up libcurl: %s",
				       curl_easy_strerror(r));
	}
	*ret_kube = kt_take_ptr(&kube);
	return 0;
}

/* The token is in the header list: wiped before it is given back. */
static void forget_headers(struct transfer *transfer)
{
	for (struct curl_slist *line = transfer->headers; line; line = line->next)
		explicit_bzero(line->data, strlen(line->data));
	curl_slist_free_all(transfer->headers);
	transfer->headers = NULL;
}

static void stop(struct kt_kube *kube, struct transfer *transfer)
{
	if (transfer->busy)
		curl_multi_remove_handle(kube->multi, transfer->easy);
	transfer->busy = transfer->ended = false;
	forget_headers(transfer);
	if (transfer == &kube->request) {
		free(kube->request_body);
		kube->request_body = NULL;
	}
}

static void close_transfer(struct kt_kube *kube, struct transfer *transfer)
{
	stop(kube, transfer);
	if (transfer->easy)
		curl_easy_cleanup(transfer->easy);
	forget_body(transfer);
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

/* Everything but what a request has beside its address. */
static int prepare(struct kt_kube *kube, struct transfer *transfer, const char *verb, const char *path,
		   struct kt_error *err)
{
	KT_OWN(kt_credentials_forget) char *authorization = NULL;
	char url[700];
	int r;

	forget_body(transfer);
	transfer->head_size = 0;
	transfer->too_big = transfer->ended = false;
	transfer->problem[0] = '\0';
	transfer->verb = verb;
	r = kt_credentials_header(kube->credentials, &authorization, err);
	if (r < 0)
		return r;
	snprintf(url, sizeof(url), "%s%s", kube->url, path);
	if (add_header(transfer, authorization) && add_header(transfer, "Accept: application/json") &&
	    add_header(transfer, "Expect:") && /* curl would wait for "100 Continue" before a long body */
	    curl_easy_setopt(transfer->easy, CURLOPT_URL, url) == CURLE_OK &&
	    /* HTTPGET undoes what an earlier PATCH set */
	    curl_easy_setopt(transfer->easy, CURLOPT_HTTPGET, 1L) == CURLE_OK)
		return 0;
	return kt_fail(err, ENOMEM, KT_REASON_OUT_OF_MEMORY, "cannot set up a request to the API server");
}

static int begin(struct kt_kube *kube, struct transfer *transfer, struct kt_error *err)
{
	if (curl_easy_setopt(transfer->easy, CURLOPT_HTTPHEADER, transfer->headers) != CURLE_OK ||
	    curl_multi_add_handle(kube->multi, transfer->easy) != CURLM_OK)
		return kt_fail(err, ENOMEM, KT_REASON_OUT_OF_MEMORY, "cannot set up a request to the API server");
	transfer->busy = true;
	return 0;
}

static bool add_content(struct kt_kube *kube, const struct kt_kube_request *request)
{
	CURL *easy = kube->request.easy;
	char content_type[96];

	snprintf(content_type, sizeof(content_type), "Content-Type: %s",
		 request->content_type ? request->content_type : "");
	return (!request->content_type || add_header(&kube->request, content_type)) &&
	       curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, request->verb) == CURLE_OK &&
	       (!kube->request_body ||
		(curl_easy_setopt(easy, CURLOPT_POSTFIELDS, kube->request_body) == CURLE_OK &&
		 curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE, (long)strlen(kube->request_body)) == CURLE_OK));
}

int kt_kube_start(struct kt_kube *kube, struct kt_kube_request *request, struct kt_error *err)
{
	int r;

	kube->request_body = kt_take_ptr(&request->body);
	r = prepare(kube, &kube->request, request->verb, request->path, err);
	if (r == 0 && !add_content(kube, request))
		r = kt_fail(err, ENOMEM, KT_REASON_OUT_OF_MEMORY, "cannot set up a request to the API server");
	if (r == 0)
		r = begin(kube, &kube->request, err);
	if (r < 0)
		stop(kube, &kube->request);
	return r;
}

int kt_kube_watch(struct kt_kube *kube, const char *path, kt_kube_line *line, void *context, struct kt_error *err)
{
	int r = prepare(kube, &kube->watch, "WATCH", path, err);

	kube->line = line;
	kube->line_context = context;
	if (r == 0)
		r = begin(kube, &kube->watch, err);
	if (r < 0)
		stop(kube, &kube->watch);
	return r;
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

/* Which of the two ended? */
static void take_ends(struct kt_kube *kube)
{
	CURLMsg *message;
	int left;

	while ((message = curl_multi_info_read(kube->multi, &left)))
		if (message->msg == CURLMSG_DONE) {
			struct transfer *transfer =
				message->easy_handle == kube->watch.easy ? &kube->watch : &kube->request;

			transfer->ended = true;
			transfer->result = message->data.result;
		}
}

static bool finish(struct kt_kube *kube, struct transfer *transfer, struct kt_kube_reply *ret_reply)
{
	struct kt_kube_reply reply = {0};
	curl_off_t retry_after = 0;
	CURLcode result;

	take_ends(kube);
	if (!transfer->ended)
		return false;
	result = transfer->result;
	curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &reply.code);
	curl_easy_getinfo(transfer->easy, CURLINFO_RETRY_AFTER, &retry_after);
	hide_token(transfer);
	stop(kube, transfer);
	if (result != CURLE_OK) {
		reply.code = 0;
		if (transfer->too_big)
			snprintf(reply.problem, sizeof(reply.problem), "the API server's answer is larger than %d MiB",
				 KT_KUBE_BODY_MAX / 1024 / 1024);
		else
			snprintf(reply.problem, sizeof(reply.problem), "the API server does not answer: %.200s",
				 transfer->problem[0] ? transfer->problem : curl_easy_strerror(result));
	}
	reply.body = transfer->body ? transfer->body : "";
	reply.size = transfer->size;
	reply.retry_after_s = retry_after < 0                 ? 0 :
			      retry_after > RETRY_AFTER_MAX_S ? RETRY_AFTER_MAX_S :
								(unsigned)retry_after;
	count(kube, transfer->verb, reply.code);
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

void kt_kube_unwatch(struct kt_kube *kube)
{
	stop(kube, &kube->watch);
	forget_body(&kube->watch);
}

int kt_kube_wait(struct kt_kube *kube, struct pollfd *fds, unsigned fd_count, int timeout_ms, struct kt_error *err)
{
	struct curl_waitfd wait[8] = {0};
	int running, under_way = kube->request.busy + kube->watch.busy;
	CURLMcode r;

	if (fd_count > sizeof(wait) / sizeof(wait[0]))
		return kt_fail(err, EINVAL, KT_REASON_INTERNAL, "%u descriptors are too many to wait for", fd_count);
	if (!kube->request.busy)
		forget_body(&kube->request);
	kube->has_line = false;
	r = curl_multi_perform(kube->multi, &running);
	for (unsigned i = 0; i < fd_count; i++)
		wait[i] = (struct curl_waitfd){.fd = fds[i].fd, .events = CURL_WAIT_POLLIN};
	/* What has just ended is to be taken before anything is waited for. */
	if (r == CURLM_OK)
		r = curl_multi_poll(kube->multi, wait, fd_count, running < under_way || kube->has_line ? 0 : timeout_ms,
				    NULL);
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
