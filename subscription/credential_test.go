package subscription

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"log/slog"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/internal/pgtest"
	"github.com/riverhook/riverhook/seal"
)

// newCertificate makes a certificate with its key, in PEM.
func newCertificate(t *testing.T) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	require.NoError(t, err)
	keyDER, err := x509.MarshalPKCS8PrivateKey(private)
	require.NoError(t, err)
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
		string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}))
}

func goodOAuth2(change func(o *OAuth2Credentials)) Credentials {
	o := OAuth2Credentials{
		ClientID:     "hooks",
		ClientSecret: "s3cret",
		TokenURL:     "https://example.com/token",
	}
	change(&o)
	return Credentials{OAuth2: &o}
}

func TestCredentials_ThatAreRefusedAreNamedAndNotShown(t *testing.T) {
	t.Parallel()
	subs := newSubscriptions(t, pgtest.Pool(t))
	long := strings.Repeat("s3cret", 2000)
	params := func(name, value string) Credentials {
		return goodOAuth2(func(o *OAuth2Credentials) { o.Params = map[string]string{name: value} })
	}
	scopes := func(scopes ...string) Credentials {
		return goodOAuth2(func(o *OAuth2Credentials) { o.Scopes = scopes })
	}
	tokenURL := func(url string) Credentials { return goodOAuth2(func(o *OAuth2Credentials) { o.TokenURL = url }) }
	basic := func(username, password string) Credentials {
		return Credentials{Basic: &BasicCredentials{Username: username, Password: Credential(password)}}
	}

	for want, c := range map[string]Credentials{
		"Credentials: has more than one":                          {Basic: &BasicCredentials{Username: "a"}, Bearer: "s3cret"},
		"Credentials.Basic.Username: is required":                 basic("", "s3cret"),
		"Credentials.Basic.Username: must not hold a colon":       basic("s3cret:", "s3cret"),
		"Credentials.Basic.Username: must not hold control":       basic("s3cret\r\n", "s3cret"),
		"Credentials.Basic.Password: must not hold control":       basic("a", "s3cret\n"),
		"Credentials.Basic.Password: must be valid UTF-8":         basic("a", "s3cret\xff"),
		"Credentials.Basic.Password: has 12000 characters":        basic("a", long),
		"Credentials.Bearer: must be visible ASCII":               {Bearer: "s3cret s3cret"},
		"Credentials.Bearer: has 12000 bytes":                     {Bearer: Credential(long)},
		"Credentials.OAuth2.AuthStyle: \"form\" is not known":     goodOAuth2(func(o *OAuth2Credentials) { o.AuthStyle = "form" }),
		"Credentials.OAuth2.ClientID: is required":                goodOAuth2(func(o *OAuth2Credentials) { o.ClientID = "" }),
		"Credentials.OAuth2.ClientSecret: is required":            goodOAuth2(func(o *OAuth2Credentials) { o.ClientSecret = "" }),
		"Credentials.OAuth2.ClientSecret: must not hold NUL":      goodOAuth2(func(o *OAuth2Credentials) { o.ClientSecret = "s3cret\x00" }),
		"Credentials.OAuth2.Params: \"client_secret\" is not for": params("client_secret", "s3cret"),
		"Credentials.OAuth2.Params: \"audience\": must not":       params("audience", "s3cret\n"),
		"Credentials.OAuth2.Scopes: entry 1: must be visible":     scopes("s3cret s3cret"),
		"Credentials.OAuth2.Scopes: entry 1: must have 1 to 512":  scopes(""),
		"Credentials.OAuth2.Scopes: has 51 entries":               scopes(make([]string, 51)...),
		"Credentials.OAuth2.TokenURL: is required":                tokenURL(""),
		"Credentials.OAuth2.TokenURL: must be https":              tokenURL("http://example.com/s3cret"),
		"Credentials.OAuth2.TokenURL: must not have a query":      tokenURL("https://example.com/?s3cret"),
		"Credentials: must be empty: Headers has Authorization":   {Bearer: "s3cret"},
	} {
		spec := specAt("/")
		spec.Credentials = c
		if strings.Contains(want, "Headers has") {
			spec.Headers = map[string]string{"authorization": "s3cret"}
		}
		_, err := subs.Create(t.Context(), spec)
		require.ErrorIs(t, err, ErrInvalid, want)
		require.ErrorContains(t, err, want)
		require.NotContains(t, err.Error(), "s3cret")
	}
}

func TestTLS_SettingsThatAreRefusedAreNamedAndNotShown(t *testing.T) {
	t.Parallel()
	subs := newSubscriptions(t, pgtest.Pool(t))
	cert, key := newCertificate(t)
	_, otherKey := newCertificate(t)
	damaged := strings.Replace(cert, "\n", "\nAAAA", 1)

	for _, tc := range []struct {
		want string
		tls  EndpointTLS
	}{
		{"TLS.RootCAs: must hold certificates in PEM and nothing else", EndpointTLS{RootCAs: "s3cret"}},
		{"TLS.RootCAs: must hold certificates in PEM and nothing else", EndpointTLS{RootCAs: cert + "s3cret"}},
		{"TLS.RootCAs: must hold a certificate", EndpointTLS{RootCAs: " \n"}},
		{"TLS.RootCAs: block 2: is not a certificate", EndpointTLS{RootCAs: cert + key}},
		{"TLS.RootCAs: ", EndpointTLS{RootCAs: damaged}},
		{"TLS.RootCAs: is longer than 65536 bytes", EndpointTLS{RootCAs: strings.Repeat(cert, 200)}},
		{"TLS.Certificate: is required with Key", EndpointTLS{Key: Credential(key)}},
		{"TLS.Certificate: must hold certificates", EndpointTLS{Certificate: "s3cret", Key: Credential(key)}},
		{"TLS.Key: is required with Certificate", EndpointTLS{Certificate: cert}},
		{"TLS.Key: must be the certificate's private key", EndpointTLS{Certificate: cert, Key: "s3cret"}},
		{"TLS.Key: must be the certificate's private key", EndpointTLS{Certificate: cert, Key: Credential(otherKey)}},
	} {
		spec := specAt("/")
		spec.TLS = tc.tls
		_, err := subs.Create(t.Context(), spec)
		require.ErrorIs(t, err, ErrInvalid, tc.want)
		require.ErrorContains(t, err, tc.want)
		for _, secret := range []string{"s3cret", strings.Split(key, "\n")[1]} {
			require.NotContains(t, err.Error(), secret)
		}
	}
}

func TestCredentials_ASubscriptionSaysWhatItHasAndNothingMore(t *testing.T) {
	t.Parallel()
	ctx, subs := t.Context(), newSubscriptions(t, pgtest.Pool(t))
	cert, key := newCertificate(t)
	spec := specAt("/")
	created, err := subs.Create(ctx, spec)
	require.NoError(t, err)
	require.Equal(t, []any{CredentialsKind(""), false, false, 0},
		[]any{created.Credentials, created.OwnRootCAs, created.ClientCertificate, created.CredentialsVersion})

	spec.Credentials = goodOAuth2(func(*OAuth2Credentials) {})
	spec.TLS = EndpointTLS{
		RootCAs:     cert + "\n" + cert,
		Certificate: cert,
		Key:         Credential(key),
	}
	created, err = subs.Create(ctx, spec)
	require.NoError(t, err)
	require.Equal(t, []any{CredentialsOAuth2, true, true, 1},
		[]any{created.Credentials, created.OwnRootCAs, created.ClientCertificate, created.CredentialsVersion})

	for i, tc := range []struct {
		update Update
		want   []any
	}{
		{Update{Credentials: &Credentials{Bearer: "s3cret"}}, []any{CredentialsBearer, true, true, 2}},
		{Update{TLS: &EndpointTLS{RootCAs: cert}}, []any{CredentialsBearer, true, false, 3}},
		{Update{Name: &spec.Name}, []any{CredentialsBearer, true, false, 3}},
		{Update{Credentials: &Credentials{}, TLS: &EndpointTLS{}}, []any{CredentialsKind(""), false, false, 4}},
		{Update{Credentials: &Credentials{Basic: &BasicCredentials{Username: "u"}}}, []any{CredentialsBasic, false, false, 5}},
	} {
		sub, err := subs.Update(ctx, created.ID, tc.update)
		require.NoError(t, err)
		require.Equal(t, tc.want, []any{sub.Credentials, sub.OwnRootCAs, sub.ClientCertificate, sub.CredentialsVersion}, "update %d", i)
		got, err := subs.Get(ctx, created.ID)
		require.NoError(t, err)
		require.Equal(t, sub, got)
	}
}

func TestCredentials_DoNotFollowTheURLToAnotherHost(t *testing.T) {
	t.Parallel()
	ctx, subs := t.Context(), newSubscriptions(t, pgtest.Pool(t))
	spec := specAt("/")
	spec.Credentials = Credentials{Bearer: "s3cret"}
	created, err := subs.Create(ctx, spec)
	require.NoError(t, err)
	to := func(url string, c *Credentials) error {
		_, err := subs.Update(ctx, created.ID, Update{URL: &url, Credentials: c})
		return err
	}

	require.NoError(t, to("https://EXAMPLE.com/another/path?x=y", nil))
	for _, url := range []string{"https://example.org/hook", "https://example.com:8443/hook", "https://hooks.example.com/"} {
		err := to(url, nil)
		var invalid *InvalidError
		require.ErrorAs(t, err, &invalid)
		require.Equal(t, "Credentials", invalid.Field)
	}
	sub, err := subs.Get(ctx, created.ID)
	require.NoError(t, err)
	require.Equal(t, "https://EXAMPLE.com/another/path?x=y", sub.URL)
	require.NoError(t, to("https://example.org/hook", &Credentials{Bearer: "another"}))
	require.NoError(t, to("https://example.net/hook", &Credentials{}))
	require.NoError(t, to("https://example.org/hook", nil), "there is nothing to follow")

	headers := map[string]string{"Authorization": "s3cret"}
	_, err = subs.Update(ctx, created.ID, Update{Headers: &headers})
	require.NoError(t, err)
	_, err = subs.Update(ctx, created.ID, Update{Credentials: &Credentials{Bearer: "s3cret"}})
	require.ErrorContains(t, err, "Credentials: must be empty: Headers has Authorization")
}

func TestCredentials_RollBackWithTheirTransaction(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	ctx, subs := t.Context(), newSubscriptions(t, pool)
	created := subscribeAt(t, subs, "/")

	for _, mode := range pgtest.ExecModes() {
		tx, err := pgtest.PoolIn(t, pool, mode).Begin(ctx)
		require.NoError(t, err)
		sub, err := subs.In(tx).Update(ctx, created.ID, Update{Credentials: &Credentials{Bearer: "s3cret"}})
		require.NoError(t, err)
		require.Equal(t, CredentialsBearer, sub.Credentials)
		spec := specAt("/")
		spec.Credentials = Credentials{Bearer: "s3cret"}
		_, err = subs.In(tx).Create(ctx, spec)
		require.NoError(t, err)
		require.NoError(t, tx.Rollback(ctx))
	}

	var n int
	require.NoError(t, pool.QueryRow(ctx, `SELECT count(*) FROM riverhook.endpoint_auth`).Scan(&n))
	require.Zero(t, n)
	sub, err := subs.Get(ctx, created.ID)
	require.NoError(t, err)
	require.Zero(t, sub.CredentialsVersion)
}

func TestReseal_SealsCredentialsAnewWithTheSecrets(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	ctx, sealing := t.Context(), newSubscriptions(t, pool)
	unsealed, err := NewStore(pool, &Config{CheckURL: checkHTTPS, Sealer: seal.Clear()})
	require.NoError(t, err)
	cert, _ := newCertificate(t)
	spec := specAt("/")
	spec.Credentials, spec.TLS = Credentials{Bearer: "s3cret"}, EndpointTLS{RootCAs: cert}
	_, err = unsealed.Create(ctx, spec)
	require.NoError(t, err)
	inClear := func() (n int) {
		require.NoError(t, pool.QueryRow(ctx,
			`SELECT count(*) FROM riverhook.endpoint_auth WHERE NOT sealed OR position('s3cret' IN encode(value, 'escape')) > 0`).Scan(&n))
		return n
	}
	require.Equal(t, 2, inClear())

	result, err := sealing.Reseal(ctx, &ResealOpts{BatchSize: 1})
	require.NoError(t, err)
	require.Equal(t, 3, result.Resealed)
	require.Zero(t, inClear())
	result, err = sealing.Reseal(ctx, nil)
	require.NoError(t, err)
	require.Equal(t, 3, result.Current)
}

func TestCredentials_AreNeverShownUnlessTheyAreRevealed(t *testing.T) {
	t.Parallel()
	c := Credential("s3cret")
	all := Credentials{
		Basic:  &BasicCredentials{Username: "u", Password: c},
		Bearer: c,
		OAuth2: &OAuth2Credentials{ClientSecret: c},
	}
	tls := EndpointTLS{Key: c}

	text, err := json.Marshal([]any{c, &c, all, tls, Spec{Credentials: all, TLS: tls}})
	require.NoError(t, err)
	var line strings.Builder
	slog.New(slog.NewJSONHandler(&line, nil)).Info("x", "credential", c, "all", all, "tls", tls)
	shown := []string{string(text), line.String()}
	for _, v := range []any{
		c, &c, all, &all, *all.Basic, *all.OAuth2, tls, &tls,
		Spec{Credentials: all, TLS: tls},
		Update{Credentials: &all, TLS: &tls},
		[]any{&all, &tls},
	} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
			shown = append(shown, fmt.Sprintf(verb, v))
		}
	}
	for _, text := range shown {
		require.NotContains(t, text, "s3cret")
		require.NotContains(t, text, "733363726574", "in hexadecimal")
	}
	require.Equal(t, "s3cret", c.Reveal())
	require.Empty(t, fmt.Sprint(Credential("")))
}
