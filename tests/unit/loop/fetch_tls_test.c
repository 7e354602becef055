/* SPDX-License-Identifier: MIT
 *
 * fetch over TLS: what is trusted, what is not, what is offered. The upstream answers one request a
 * connection, with a certificate that it made itself, for localhost and 127.0.0.1.
 */
#include "fetch_env.h"

#include <arpa/inet.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct tls_upstream {
    int listener;
    unsigned port;
    pthread_t thread;
    SSL_CTX *ctx;
    atomic_uint handshakes;
    atomic_bool h2_offered;
    char ca_path[300];
};

static X509 *make_certificate(EVP_PKEY *key, bool expired)
{
    X509 *cert = X509_new();
    X509_NAME *name = X509_get_subject_name(cert);
    (void)X509_set_version(cert, X509_VERSION_3);
    (void)ASN1_INTEGER_set(X509_get_serialNumber(cert), 1);
    (void)X509_gmtime_adj(X509_getm_notBefore(cert), -2 * 86400L);
    (void)X509_gmtime_adj(X509_getm_notAfter(cert), expired ? -86400L : 86400L);
    (void)X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"a test", -1,
                                     -1, 0);
    (void)X509_set_issuer_name(cert, name);
    (void)X509_set_pubkey(cert, key);
    X509_EXTENSION *names =
        X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, "DNS:localhost,IP:127.0.0.1");
    (void)X509_add_ext(cert, names, -1);
    X509_EXTENSION_free(names);
    CX_CHECK(X509_sign(cert, key, EVP_sha256()) > 0);
    return cert;
}

static int on_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len,
                   const unsigned char *in, unsigned in_len, void *ctx)
{
    static const unsigned char ours[] = "\x08http/1.1";
    struct tls_upstream *u = ctx;
    (void)ssl;
    for (unsigned at = 0; at < in_len; at += in[at] + 1U) {
        if (in[at] == 2 && memcmp(in + at + 1, "h2", 2) == 0) {
            atomic_store(&u->h2_offered, true);
        }
    }
    unsigned char *chosen = NULL;
    if (SSL_select_next_proto(&chosen, out_len, ours, sizeof(ours) - 1, in, in_len) !=
        OPENSSL_NPN_NEGOTIATED) {
        return SSL_TLSEXT_ERR_NOACK;
    }
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

static void answer_one(struct tls_upstream *u, int fd)
{
    static const char answer[] =
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello";
    char head[4096];
    size_t len = 0;
    SSL *ssl = SSL_new(u->ctx);
    (void)SSL_set_fd(ssl, fd);
    if (SSL_accept(ssl) == 1) {
        (void)atomic_fetch_add(&u->handshakes, 1);
        int got = 0;
        head[0] = '\0';
        while (strstr(head, "\r\n\r\n") == NULL && len < sizeof(head) - 1 &&
               (got = SSL_read(ssl, head + len, (int)(sizeof(head) - 1 - len))) > 0) {
            len += (size_t)got;
            head[len] = '\0';
        }
        if (got > 0) {
            (void)SSL_write(ssl, answer, sizeof(answer) - 1);
            (void)SSL_shutdown(ssl);
        }
    }
    SSL_free(ssl);
}

static void *serve_tls(void *ctx)
{
    struct tls_upstream *u = ctx;
    for (;;) {
        const int fd = accept4(u->listener, NULL, NULL, SOCK_CLOEXEC);
        if (fd < 0) {
            return NULL; /* shut down */
        }
        answer_one(u, fd);
        (void)close(fd);
    }
}

static void tls_start(struct tls_upstream *u, bool expired)
{
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof(address);
    *u = (struct tls_upstream){ .listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0) };
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *cert = make_certificate(key, expired);
    (void)snprintf(u->ca_path, sizeof(u->ca_path), "%s/ca.pem", test_dir());
    FILE *file = fopen(u->ca_path, "we");
    CX_CHECK(file != NULL && PEM_write_X509(file, cert) == 1 && fclose(file) == 0);
    u->ctx = SSL_CTX_new(TLS_server_method());
    CX_CHECK(SSL_CTX_use_certificate(u->ctx, cert) == 1);
    CX_CHECK(SSL_CTX_use_PrivateKey(u->ctx, key) == 1);
    SSL_CTX_set_alpn_select_cb(u->ctx, on_alpn, u);
    X509_free(cert);
    EVP_PKEY_free(key);
    CX_CHECK(bind(u->listener, (struct sockaddr *)&address, sizeof(address)) == 0);
    CX_CHECK(listen(u->listener, 16) == 0);
    CX_CHECK(getsockname(u->listener, (struct sockaddr *)&address, &len) == 0);
    u->port = ntohs(address.sin_port);
    CX_CHECK(pthread_create(&u->thread, NULL, serve_tls, u) == 0);
}

static void tls_stop(struct tls_upstream *u)
{
    (void)shutdown(u->listener, SHUT_RDWR);
    (void)pthread_join(u->thread, NULL);
    (void)close(u->listener);
    SSL_CTX_free(u->ctx);
}

static void ask(struct world *w, const struct tls_upstream *u, const char *host, bool http2,
                struct probe *p)
{
    char url[128];
    struct cx_fetch_request request = world_request(w, "", url);
    (void)snprintf(url, sizeof(url), "https://%s:%u/", host, u->port);
    request.http2 = http2;
    probe_run(w, p, &request);
}

static void open_trusting(struct world *w, const char *ca_file)
{
    world_open_with(
        w, &(struct cx_fetch_options){ .ca_file = ca_file, .connections_max = 4, .waiting_max = 8 },
        NULL);
}

TEST(tls_certificate_that_is_trusted)
{
    struct world w;
    struct tls_upstream u;
    struct probe p;
    struct cx_err err = { "" };
    tls_start(&u, false);
    open_trusting(&w, u.ca_path);
    EXPECT_INT(cx_fetch_warm_tls(w.fetch, &err), CX_OK);
    EXPECT_STR(err.text, "");
    ask(&w, &u, "127.0.0.1", false, &p);
    EXPECT_INT(p.outcome, CX_FETCH_OK);
    EXPECT_STR(p.body, "hello");
    EXPECT(!atomic_load(&u.h2_offered));
    ask(&w, &u, "localhost", true, &p);
    EXPECT_INT(p.outcome, CX_FETCH_OK);
    EXPECT(atomic_load(&u.h2_offered));
    EXPECT_INT(atomic_load(&u.handshakes), 2);
    ask(&w, &u, "quick-other.test", false, &p); /* a name that the certificate does not have */
    EXPECT_INT(p.outcome, CX_FETCH_TLS);
    EXPECT(strstr(p.reason, "quick-other") == NULL);
    EXPECT(strstr(p.reason, "it is for another host") != NULL);
    world_close(&w);
    tls_stop(&u);
}

TEST(tls_certificate_that_is_not_trusted)
{
    struct world w;
    struct tls_upstream u;
    struct probe p;
    tls_start(&u, false);
    open_trusting(&w, NULL);
    ask(&w, &u, "127.0.0.1", false, &p);
    EXPECT_INT(p.outcome, CX_FETCH_TLS);
    EXPECT(strstr(p.reason, "certificate") != NULL);
    world_close(&w);
    tls_stop(&u);
}

TEST(tls_certificate_that_has_expired)
{
    struct world w;
    struct tls_upstream u;
    struct probe p;
    tls_start(&u, true);
    open_trusting(&w, u.ca_path);
    ask(&w, &u, "127.0.0.1", false, &p);
    EXPECT_INT(p.outcome, CX_FETCH_TLS);
    EXPECT(strstr(p.reason, "expired") != NULL);
    world_close(&w);
    tls_stop(&u);
}

TEST(tls_certificates_that_cannot_be_read)
{
    struct world w;
    struct cx_err err = { "" };
    char path[300];
    (void)snprintf(path, sizeof(path), "%s/none.pem", test_dir());
    open_trusting(&w, path);
    EXPECT_INT(cx_fetch_warm_tls(w.fetch, &err), CX_INVALID);
    EXPECT(strstr(err.text, "none.pem") != NULL);
    world_close(&w);
}
