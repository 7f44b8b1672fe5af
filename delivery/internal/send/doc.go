// Package send makes the attempts of deliveries: it loads them, checks whether they may go
// out now, waits for a slot of their endpoint, makes the request and has recorded what
// follows. It makes the requests outside deliveries too: of questions (Sender.Ask), pings
// and challenges (Requester.Once).
package send
