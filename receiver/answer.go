package receiver

import (
	"encoding/json"
	"net/http"
	"strings"
)

const contentTypeJSON = "application/json"

// summary is the body of an answer that is no problem.
type summary struct {
	ID      string `json:"id,omitempty"`
	Message string `json:"message"`
	Status  int    `json:"status"`
}

// answerPost is answer for who has sent the event. Senders take 410 for the
// end of their subscription, which the end of one event is not.
func answerPost(w http.ResponseWriter, t target, s Status) {
	if s.State == Gone {
		headers(w, t, s)
		writeJSON(w, http.StatusOK, summary{
			ID:      s.ID,
			Message: "Deleted.",
			Status:  http.StatusOK,
		})
		return
	}
	answer(w, t, s)
}

// answer says how far an event has come.
func answer(w http.ResponseWriter, t target, s Status) {
	headers(w, t, s)
	switch s.State {
	case Done:
		answerDone(w, s)
	case Failed:
		problem(w, http.StatusInternalServerError, "The event could not be processed.")
	case Gone:
		problem(w, http.StatusGone, "The event was deleted.")
	case Pending:
		message := s.Message
		if message == "" {
			message = "Accepted."
		}
		writeJSON(w, http.StatusAccepted, summary{
			ID:      s.ID,
			Message: message,
			Status:  http.StatusAccepted,
		})
	}
}

func answerDone(w http.ResponseWriter, s Status) {
	resp := s.Response
	if resp.Status == 0 {
		resp.Status = http.StatusCreated
	}
	if len(resp.Body) == 0 && resp.ContentType == "" {
		writeJSON(w, resp.Status, summary{
			ID:      s.ID,
			Message: http.StatusText(resp.Status) + ".",
			Status:  resp.Status,
		})
		return
	}
	if resp.ContentType == "" {
		resp.ContentType = contentTypeJSON
	}
	w.Header().Set("Content-Type", resp.ContentType)
	w.WriteHeader(resp.Status)
	_, _ = w.Write(resp.Body)
}

func headers(w http.ResponseWriter, t target, s Status) {
	h := w.Header()
	h.Set("X-Hub-Event", s.Receiver)
	h.Set("X-Hub-Delivery", s.ID)
	h.Set("Link", "<"+t.address+"/"+s.ID+`>; rel="self"`)
	if s.Message != "" {
		h.Set("X-Hub-Info", strings.Map(func(r rune) rune {
			if r < ' ' || r > '~' {
				return '?'
			}
			return r
		}, s.Message))
	}
}

// problem answers by RFC 9457.
func problem(w http.ResponseWriter, status int, detail string) {
	write(w, "application/problem+json", status, struct {
		Type   string `json:"type"`
		Title  string `json:"title"`
		Status int    `json:"status"`
		Detail string `json:"detail"`
	}{"about:blank", http.StatusText(status), status, detail})
}

func notAllowed(w http.ResponseWriter, methods string) {
	w.Header().Set("Allow", methods)
	problem(w, http.StatusMethodNotAllowed, "Allowed are "+methods+".")
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	write(w, contentTypeJSON, status, body)
}

func write(w http.ResponseWriter, contentType string, status int, body any) {
	text, err := json.Marshal(body)
	if err != nil { // no body of ours
		status, text = http.StatusInternalServerError, nil
	}
	w.Header().Set("Content-Type", contentType)
	w.WriteHeader(status)
	_, _ = w.Write(text) // a sender that has gone asks again
}
