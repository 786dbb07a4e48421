//! Object stores with the interface of S3: each request is a URL that is signed for a time (AWS Signature Version 4).
//!
//! A signed URL is for one object and one method. The secret key signs it and is not in it, and nothing of it is a header
//! field: so a redirect takes no credentials along. Pure, but for the variables of the environment, which are read once.
//!
//! The algorithm: <https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html>.

use std::time::{Duration, SystemTime};

use lanspread_types::ids::WordError;
use lanspread_types::limits;
use lanspread_types::source_url::ObjectAddress;
use lanspread_types::web_url::{WebUrl, percent_encoded};
use ring::{digest, hmac};
use zeroize::Zeroizing;

const KEY_ID: &str = "AWS_ACCESS_KEY_ID";
const SECRET_KEY: &str = "AWS_SECRET_ACCESS_KEY";
const TOKEN: &str = "AWS_SESSION_TOKEN";
/// The first one that is set counts, as in other programs.
const REGION: [&str; 2] = ["AWS_REGION", "AWS_DEFAULT_REGION"];
const ENDPOINT: [&str; 2] = ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"];
/// Not a variable of Amazon, but of most programs for other stores.
const BUCKET_IN_HOST: &str = "AWS_VIRTUAL_HOSTED_STYLE_REQUEST";
/// What stores of one's own expect that have no regions.
const DEFAULT_REGION: &str = "us-east-1";
/// More than the name of any region has.
const REGION_BYTES_MAX: usize = 63;

/// A variable of the environment that says where objects are or who asks for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SettingsProblem {
    /// It must be set.
    #[error("{0} is not set")]
    Missing(&'static str),
    /// Its value is not shown: it may be a secret.
    #[error("{variable}: {rule}")]
    Bad {
        /// Its name.
        variable: &'static str,
        /// The rule that its value breaks.
        rule: &'static str,
    },
}

impl SettingsProblem {
    /// Stable kebab-case code.
    pub(super) const CODE: &str = "s3-settings";
}

/// Where objects are, and who asks for them. Has no `Debug`, so that no log has the secret key.
pub(super) struct ObjectStore {
    endpoint: WebUrl,
    region: String,
    key_id: String,
    secret_key: Zeroizing<String>,
    token: Option<Zeroizing<String>>,
    /// The bucket is the first part of the host, not of the path.
    is_bucket_in_host: bool,
}

impl ObjectStore {
    /// The store that the environment names.
    ///
    /// # Errors
    /// [`SettingsProblem`].
    pub(super) fn of_environment() -> Result<Self, SettingsProblem> {
        // A value that is not text is refused below as one that is not ASCII.
        let variable = |name: &str| Some(std::env::var_os(name)?.to_string_lossy().into_owned());
        Self::of_variables(variable)
    }

    /// The same from other variables. One without a value is not set.
    pub(super) fn of_variables(variable: impl Fn(&str) -> Option<String>) -> Result<Self, SettingsProblem> {
        let set = |name| {
            let Some(value) = variable(name).filter(|value| !value.is_empty()) else { return Ok(None) };
            let is_plain = value.bytes().all(|byte| byte.is_ascii_graphic());
            if !is_plain || value.len() > limits::STORE_SECRET_BYTES_MAX {
                let rule = "it must have printable ASCII characters only, and not more than 4 KiB";
                return Err(SettingsProblem::Bad { variable: name, rule });
            }
            Ok(Some(Zeroizing::new(value)))
        };
        let first = |names: [&'static str; 2]| match set(names[0])? {
            Some(value) => Ok(Some((names[0], value))),
            None => Ok(set(names[1])?.map(|value| (names[1], value))),
        };
        let key_id = set(KEY_ID)?.ok_or(SettingsProblem::Missing(KEY_ID))?.to_string();
        let secret_key = set(SECRET_KEY)?.ok_or(SettingsProblem::Missing(SECRET_KEY))?;
        let region = match first(REGION)? {
            None => DEFAULT_REGION.to_owned(),
            Some((variable, value)) => {
                let is_region = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
                if value.len() > REGION_BYTES_MAX || !value.bytes().all(is_region) {
                    return Err(SettingsProblem::Bad { variable, rule: "it is no name of a region" });
                }
                value.to_string()
            }
        };
        let (variable, endpoint, is_own) = match first(ENDPOINT)? {
            None => (ENDPOINT[1], format!("https://s3.{region}.amazonaws.com"), false),
            Some((variable, value)) => (variable, value.to_string(), true),
        };
        let rule = "it must be http:// or https:// with a host, and no credentials or query";
        let endpoint = WebUrl::parse(&endpoint).map_err(|_| SettingsProblem::Bad { variable, rule })?;
        if endpoint.credentials().is_some() || endpoint.target().contains('?') {
            return Err(SettingsProblem::Bad { variable, rule });
        }
        let is_bucket_in_host = match set(BUCKET_IN_HOST)?.as_ref().map(|value| value.to_ascii_lowercase()) {
            None => !is_own,
            Some(value) if matches!(value.as_str(), "true" | "1") => true,
            Some(value) if matches!(value.as_str(), "false" | "0") => false,
            Some(_) => {
                let rule = "it must be true or false";
                return Err(SettingsProblem::Bad { variable: BUCKET_IN_HOST, rule });
            }
        };
        Ok(Self { endpoint, region, key_id, secret_key, token: set(TOKEN)?, is_bucket_in_host })
    }

    /// The signed URL of an object. It is the same for the whole hour that `now` is in: so all machines with one key ask for
    /// the same URL, and a cache between them and the store can tell that it is.
    ///
    /// # Errors
    /// If a long name makes it too long.
    pub(super) fn url_of(&self, object: &ObjectAddress, now: SystemTime) -> Result<WebUrl, WordError> {
        let time = basic_time(now);
        let hour = &time[.."00000000T00".len()];
        self.signed(object, &format!("{hour}0000Z"), limits::SIGNED_URL_LIFE)
    }

    fn signed(&self, object: &ObjectAddress, begin: &str, life: Duration) -> Result<WebUrl, WordError> {
        // No certificate for all buckets is one for a name with dots in it.
        let is_in_host =
            self.is_bucket_in_host && !(self.endpoint.is_encrypted() && object.bucket.contains('.'));
        let scheme = if self.endpoint.is_encrypted() { "https" } else { "http" };
        let mut host = self.endpoint.host_field();
        let mut path = self.endpoint.target().trim_end_matches('/').to_owned();
        if is_in_host {
            host = format!("{}.{host}", object.bucket);
        } else {
            path = format!("{path}/{}", object.bucket);
        }
        for part in object.key.split('/') {
            path.push('/');
            path.push_str(&percent_encoded(part));
        }
        let query = self.signed_query(&host, &path, begin, life);
        WebUrl::parse(&format!("{scheme}://{host}{path}?{query}"))
    }

    /// The query that makes a `GET` of this path at this host a signed one.
    fn signed_query(&self, host: &str, path: &str, time: &str, life: Duration) -> String {
        let day = &time[.."00000000".len()];
        let scope = format!("{day}/{}/s3/aws4_request", self.region);
        let credential = percent_encoded(&format!("{}/{scope}", self.key_id));
        let token = self
            .token
            .as_ref()
            .map_or_else(String::new, |token| format!("&X-Amz-Security-Token={}", percent_encoded(token)));
        // In the order of their names, as the signature wants them.
        let query = format!(
            "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={credential}&X-Amz-Date={time}&X-Amz-Expires={}{token}\
             &X-Amz-SignedHeaders=host",
            life.as_secs()
        );
        let request = format!("GET\n{path}\n{query}\nhost:{host}\n\nhost\nUNSIGNED-PAYLOAD");
        let request = hex(digest::digest(&digest::SHA256, request.as_bytes()).as_ref());
        let secret = Zeroizing::new(format!("AWS4{}", *self.secret_key));
        let mut key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
        for part in [day, &self.region, "s3", "aws4_request"] {
            key = hmac::Key::new(hmac::HMAC_SHA256, hmac::sign(&key, part.as_bytes()).as_ref());
        }
        let signature = hmac::sign(&key, format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n{request}").as_bytes());
        format!("{query}&X-Amz-Signature={}", hex(signature.as_ref()))
    }
}

/// A time in the format of signatures: `20130524T000000Z`.
fn basic_time(time: SystemTime) -> String {
    humantime::format_rfc3339_seconds(time).to_string().replace(['-', ':'], "")
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        text.push_str(&format!("{byte:02x}"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The key of Amazon's own examples.
    const EXAMPLE: [(&str, &str); 2] =
        [(KEY_ID, "AKIAIOSFODNN7EXAMPLE"), (SECRET_KEY, "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")];

    type Variables<'v> = &'v [(&'v str, &'v str)];

    fn store(more: &[(&str, &str)]) -> Result<ObjectStore, SettingsProblem> {
        let all = [more, &EXAMPLE].concat();
        ObjectStore::of_variables(|name| {
            all.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        })
    }

    fn object(bucket: &str, key: &str) -> ObjectAddress {
        ObjectAddress { bucket: bucket.to_owned(), key: key.to_owned() }
    }

    fn at(time: &str) -> SystemTime {
        humantime::parse_rfc3339(time).unwrap()
    }

    /// The example of a presigned URL in Amazon's documentation, with the signature that it gives.
    #[test]
    fn the_example_of_the_documentation_is_signed_as_there() {
        let store =
            store(&[("AWS_ENDPOINT_URL", "https://s3.amazonaws.com"), (BUCKET_IN_HOST, "true")]).unwrap();
        let day = Duration::from_hours(24);
        let url = store.signed(&object("examplebucket", "test.txt"), "20130524T000000Z", day).unwrap();
        assert_eq!(url.origin(), "https://examplebucket.s3.amazonaws.com");
        assert_eq!(
            url.target(),
            "/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256\
             &X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request\
             &X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host\
             &X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"
        );
    }

    #[test]
    fn a_url_stays_the_same_for_its_span_and_outlives_it() {
        let store = store(&[]).unwrap();
        let url = |time| store.url_of(&object("games", "g/a b.eti"), at(time)).unwrap().target().to_owned();
        let first = url("2026-11-27T10:00:00Z");
        assert!(
            first.starts_with("/g/a%20b.eti?") && first.contains("T100000Z&X-Amz-Expires=7200&"),
            "{first}"
        );
        assert_eq!(url("2026-11-27T10:59:59.9Z"), first);
        assert_ne!(url("2026-11-27T11:00:00Z"), first);
    }

    #[test]
    fn the_bucket_is_in_the_host_at_amazon_and_in_the_path_elsewhere() {
        let rows: [(Variables, &str, &str); 7] = [
            (&[("AWS_DEFAULT_REGION", "eu-west-3")], "games", "https://games.s3.eu-west-3.amazonaws.com/k"),
            (&[], "my.games", "https://s3.us-east-1.amazonaws.com/my.games/k"),
            (&[("AWS_ENDPOINT_URL", "http://[::1]:9000")], "games", "http://[::1]:9000/games/k"),
            (&[("AWS_ENDPOINT_URL", "http://h/storage/s3/")], "games", "http://h/storage/s3/games/k"),
            (
                &[("AWS_ENDPOINT_URL", "http://other"), ("AWS_ENDPOINT_URL_S3", "http://h")],
                "games",
                "http://h/games/k",
            ),
            (
                &[("AWS_ENDPOINT_URL", "http://h:81"), (BUCKET_IN_HOST, "True")],
                "my.games",
                "http://my.games.h:81/k",
            ),
            (&[(BUCKET_IN_HOST, "false")], "games", "https://s3.us-east-1.amazonaws.com/games/k"),
        ];
        for (variables, bucket, expected) in rows {
            let url = store(variables).unwrap().url_of(&object(bucket, "k"), SystemTime::UNIX_EPOCH).unwrap();
            assert_eq!(url.to_string(), format!("{expected}?…"), "{variables:?}");
        }
    }

    #[test]
    fn a_variable_that_cannot_be_used_is_named_without_its_value() {
        for (variables, expected) in [
            ([(KEY_ID, "")], "AWS_ACCESS_KEY_ID is not set"),
            ([(SECRET_KEY, "")], "AWS_SECRET_ACCESS_KEY is not set"),
            (
                [(SECRET_KEY, "bad-value\n")],
                "AWS_SECRET_ACCESS_KEY: it must have printable ASCII characters only",
            ),
            ([(TOKEN, "bad-value \u{e4}")], "AWS_SESSION_TOKEN: it must have printable"),
            ([("AWS_REGION", "bad-value/x")], "AWS_REGION: it is no name of a region"),
            ([("AWS_ENDPOINT_URL", "bad-value:9000")], "AWS_ENDPOINT_URL: it must be http://"),
            ([("AWS_ENDPOINT_URL", "http://u:bad-value@h")], "AWS_ENDPOINT_URL: it must be http://"),
            ([(BUCKET_IN_HOST, "bad-value")], "AWS_VIRTUAL_HOSTED_STYLE_REQUEST: it must be true or false"),
        ] {
            let problem = store(&variables).err().unwrap();
            let shown = format!("{problem} {problem:?}");
            assert!(shown.starts_with(expected) && !shown.contains("bad-value"), "{shown}");
        }
    }

    #[test]
    fn a_token_is_a_signed_part_of_the_query() {
        let url = store(&[(TOKEN, "a/b+c=")])
            .unwrap()
            .url_of(&object("games", "k"), SystemTime::UNIX_EPOCH)
            .unwrap();
        assert!(
            url.target().contains("&X-Amz-Security-Token=a%2Fb%2Bc%3D&X-Amz-SignedHeaders=host&"),
            "{}",
            url.target()
        );
    }
}
