package receiver

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
)

// maxChallengeBody bounds the bodies that are looked at for a challenge, in bytes.
const maxChallengeBody = 1 << 10

// AnswerChallenges puts in front of a handler the answers of an endpoint that wants
// what is sent to it, to each question that Riverhook may ask: the POST of type
// riverhook.challenge, GET ?echo=X of PyWebhooks, the OPTIONS handshake of CloudEvents,
// of whatever origin, and X-Hook-Secret of REST Hooks, whose value is not kept. All
// else goes to next, unread.
//
// Whoever asks is answered: the signature of a challenge is not verified, since the
// secret may not have come yet. So verify all that comes to next. A [Handler] answers
// by itself and does not need this.
func AnswerChallenges(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		secret := r.Header.Get(headerHookSecret)
		switch {
		case r.Method == http.MethodGet && r.URL.Query().Has("echo"):
			echo(w, r.URL.Query().Get("echo"))
		case r.Method == http.MethodOptions && r.Header.Get(headerRequestOrigin) != "":
			allowOrigin(w, r, Receiver{})
		case r.Method == http.MethodPost && secret != "" && len(secret) <= maxChallenge:
			w.Header().Set(headerHookSecret, secret)
			w.WriteHeader(http.StatusOK)
		default:
			if challenge := takeChallenge(r); challenge != "" {
				answerChallenge(w, challenge)
				return
			}
			next.ServeHTTP(w, r)
		}
	})
}

// takeChallenge is what a request asks to be sent back, "" where it asks for nothing
// of the kind. The body can be read as before.
func takeChallenge(r *http.Request) string {
	if r.Method != http.MethodPost || r.ContentLength < 1 || r.ContentLength > maxChallengeBody {
		return ""
	}
	body, err := io.ReadAll(r.Body)
	r.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(body), r.Body), r.Body}
	if err != nil {
		return ""
	}
	return challengeIn(body)
}

func challengeIn(body []byte) string {
	if len(body) > maxChallengeBody {
		return ""
	}
	var asked struct {
		Type      string `json:"type"`
		Challenge string `json:"challenge"`
	}
	if json.Unmarshal(withoutMark(body), &asked) != nil || asked.Type != "riverhook.challenge" || len(asked.Challenge) > maxChallenge {
		return ""
	}
	return asked.Challenge
}

func answerChallenge(w http.ResponseWriter, challenge string) {
	writeJSON(w, http.StatusOK, struct {
		Challenge string `json:"challenge"`
	}{challenge})
}
