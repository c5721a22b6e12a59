//! The few fields of request and response bodies that matching needs, read without building a JSON tree.

use std::borrow::Cow;

use auditgap_records::audit::AuditEvent;
use serde::Deserialize;

use crate::fact::Review;

/// An API object, or a list of them.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Object<'a> {
    #[serde(borrow, default)]
    pub(super) kind: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    pub(super) metadata: Metadata<'a>,
    #[serde(borrow, default)]
    pub(super) items: Option<Vec<Item<'a>>>,
}

/// `metadata` of an object.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Metadata<'a> {
    #[serde(borrow, default)]
    pub(super) name: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    pub(super) namespace: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    pub(super) generate_name: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    pub(super) uid: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    pub(super) resource_version: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    pub(super) deletion_timestamp: Option<Cow<'a, str>>,
}

/// One object of a list.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Item<'a> {
    #[serde(borrow, default)]
    metadata: Metadata<'a>,
}

/// Names of a list's objects that are kept at the most: an API server pages deletecollection at 500 or 10,000.
const MAX_ITEMS: usize = 20_000;

impl Object<'_> {
    /// `namespace/name` of each item.
    pub(super) fn item_names(&self) -> Vec<Box<str>> {
        let items = self.items.as_deref().unwrap_or_default();
        let name = |item: &Item<'_>| {
            let namespace = item.metadata.namespace.as_deref().unwrap_or_default();
            let name = item.metadata.name.as_deref().unwrap_or_default();
            format!("{namespace}/{name}").into_boxed_str()
        };
        items.iter().take(MAX_ITEMS).map(name).collect()
    }
}

/// Reads an object; `None` for a patch in another form (a JSON array, YAML).
pub(super) fn object(json: &str) -> Option<Object<'_>> {
    serde_json::from_str(json).ok()
}

#[derive(Deserialize)]
struct ReviewBody<'a> {
    #[serde(borrow, default)]
    spec: ReviewSpec<'a>,
    #[serde(borrow, default)]
    status: ReviewStatus<'a>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ReviewSpec<'a> {
    #[serde(borrow, default)]
    user: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    resource_attributes: Option<ResourceAttributes<'a>>,
    #[serde(borrow, default)]
    extra: Option<Extra<'a>>,
}

#[derive(Default, Deserialize)]
struct ResourceAttributes<'a> {
    #[serde(borrow, default)]
    verb: Cow<'a, str>,
    #[serde(borrow, default)]
    resource: Cow<'a, str>,
    #[serde(borrow, default)]
    subresource: Cow<'a, str>,
    #[serde(borrow, default)]
    name: Cow<'a, str>,
}

#[derive(Default, Deserialize)]
struct Extra<'a> {
    #[serde(borrow, rename = "authentication.kubernetes.io/credential-id", default)]
    credential_id: Vec<Cow<'a, str>>,
}

#[derive(Default, Deserialize)]
struct ReviewStatus<'a> {
    #[serde(default)]
    allowed: bool,
    #[serde(default)]
    authenticated: bool,
    #[serde(borrow, default)]
    error: Cow<'a, str>,
    #[serde(borrow, default)]
    user: Option<ReviewedUser<'a>>,
}

#[derive(Default, Deserialize)]
struct ReviewedUser<'a> {
    #[serde(borrow, default)]
    username: Cow<'a, str>,
    #[serde(borrow, default)]
    extra: Option<Extra<'a>>,
}

/// Reads a SubjectAccessReview or a TokenReview. At level Metadata the review is known to have happened and no more.
pub(super) fn review(event: &AuditEvent<'_>) -> Option<Review> {
    let object = event.object.as_ref()?;
    let token = match object.resource.as_ref() {
        "tokenreviews" => true,
        "subjectaccessreviews" => false,
        _ => return None,
    };
    let read = |json: Option<&str>| {
        json.and_then(|json| serde_json::from_str::<ReviewBody<'_>>(json).ok().map(fill))
    };
    let fill_from = |review: Option<Review>| review.map(|review| Review { token, ..review });
    // The response repeats the request and adds the answer.
    fill_from(read(event.response_object))
        .or_else(|| fill_from(read(event.request_object)))
        .or_else(|| Some(Review { token, ..Review::default() }))
}

fn fill(body: ReviewBody<'_>) -> Review {
    let text = |text: Cow<'_, str>| text.into_owned().into_boxed_str();
    let attributes = body.spec.resource_attributes.unwrap_or_default();
    let reviewed = body.status.user.unwrap_or_default();
    let extra = [body.spec.extra, reviewed.extra].into_iter().flatten();
    let credential_id = extra.flat_map(|extra| extra.credential_id).next();
    Review {
        token: false,
        user: text(body.spec.user.filter(|user| !user.is_empty()).unwrap_or(reviewed.username)),
        verb: text(attributes.verb),
        resource: text(attributes.resource),
        subresource: text(attributes.subresource),
        name: text(attributes.name),
        allowed: body.status.allowed || body.status.authenticated,
        credential_id: credential_id.map(text).unwrap_or_default(),
        error: text(body.status.error),
    }
}
