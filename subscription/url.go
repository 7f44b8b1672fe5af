package subscription

import (
	"errors"
	"net/url"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/idna"
)

// inASCII is the update with the hosts of its URLs in ASCII.
func (u Update) inASCII() (Update, error) {
	if u.URL != nil {
		ascii, err := asciiURL(*u.URL)
		if err != nil {
			return u, &InvalidError{
				Field:  "URL",
				Reason: err.Error(),
				err:    err,
			}
		}
		u.URL = &ascii
	}
	if u.Credentials != nil && u.Credentials.OAuth2 != nil {
		credentials, oauth2 := *u.Credentials, *u.Credentials.OAuth2
		ascii, err := asciiURL(oauth2.TokenURL)
		if err != nil {
			return u, &InvalidError{
				Field:  "Credentials.OAuth2.TokenURL",
				Reason: err.Error(),
				err:    err,
			}
		}
		oauth2.TokenURL = ascii
		credentials.OAuth2 = &oauth2
		u.Credentials = &credentials
	}
	return u, nil
}

// asciiURL writes an international host name of a URL in its ASCII form (RFC
// 5891), in which it is looked up, stored and shown: one that looks like
// another name no longer does. Whatever else is wrong with a URL is left to
// Config.CheckURL, which gets what this returns.
func asciiURL(raw string) (string, error) {
	if isASCII(raw) || !utf8.ValidString(raw) || len(raw) > utf8.UTFMax*maxURL {
		return raw, nil
	}
	u, err := url.Parse(raw)
	if err != nil || isASCII(u.Host) {
		return raw, nil //nolint:nilerr // CheckURL says so without quoting the URL
	}
	name := u.Hostname()
	ascii, err := idna.Lookup.ToASCII(name)
	if err != nil {
		return "", errors.New("its host is not a name that can be written in ASCII (RFC 5891)")
	}
	// The name stands first in what is behind "//", unless there is a user.
	scheme, rest, _ := strings.Cut(raw, "//")
	if !strings.HasPrefix(rest, name) {
		return "", errors.New("its host must be written in ASCII: " + ascii)
	}
	return scheme + "//" + ascii + rest[len(name):], nil
}

func isASCII(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r >= utf8.RuneSelf })
}
