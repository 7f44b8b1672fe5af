package receiver

import (
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
)

const (
	headerHookSecret    = "X-Hook-Secret"
	headerRequestOrigin = "Webhook-Request-Origin"

	// maxChallenge is in bytes; what is sent back was not signed.
	maxChallenge = 256
)

// echo answers the challenge of PyWebhooks: GET ?echo=X.
func echo(w http.ResponseWriter, value string) {
	if value == "" || len(value) > maxChallenge {
		problem(w, http.StatusBadRequest, "The challenge is empty or too long.")
		return
	}
	writeJSON(w, http.StatusOK, struct {
		Echo string `json:"echo"`
	}{value})
}

// allowOrigin answers the handshake of CloudEvents (HTTP 1.1 Web Hooks for Event
// Delivery 1.0, section 4).
func allowOrigin(w http.ResponseWriter, r *http.Request, rec Receiver) {
	origin := r.Header.Get(headerRequestOrigin)
	known := func(other string) bool { return strings.EqualFold(origin, other) }
	if len(origin) > maxChallenge || len(rec.Origins) > 0 && !slices.ContainsFunc(rec.Origins, known) {
		problem(w, http.StatusForbidden, "The origin may not send to this receiver.")
		return
	}
	w.Header().Set("Allow", "GET, OPTIONS, POST")
	w.Header().Set("Webhook-Allowed-Origin", origin)
	w.Header().Set("Webhook-Allowed-Rate", "*")
	w.WriteHeader(http.StatusOK)
}

// acceptHookSecret answers the handshake of REST Hooks: whoever takes the secret sends
// it back.
func (h *Handler) acceptHookSecret(w http.ResponseWriter, r *http.Request, t target, secret string) {
	if len(secret) > maxChallenge {
		problem(w, http.StatusBadRequest, "The secret is too long.")
		return
	}
	if err := t.rec.HookSecret(r.Context(), t.owner, secret); err != nil {
		h.cfg.Logger.WarnContext(r.Context(), "receiver: a hook secret was refused", "receiver", t.rec.Name, "error", err)
		w.Header().Set("WWW-Authenticate", "Signature")
		problem(w, http.StatusUnauthorized, "The secret was refused.")
		return
	}
	w.Header().Set(headerHookSecret, secret)
	writeJSON(w, http.StatusOK, summary{Message: "The secret is accepted.", Status: http.StatusOK})
}

// readError tells a body that could not be read from a signature that does not fit.
type readError struct {
	io.ReadCloser

	err error
}

func (e *readError) of(body io.ReadCloser) io.ReadCloser {
	if body == nil {
		return nil
	}
	e.ReadCloser = body
	return e
}

func (e *readError) Read(p []byte) (int, error) {
	n, err := e.ReadCloser.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		e.err = err
	}
	return n, err
}
